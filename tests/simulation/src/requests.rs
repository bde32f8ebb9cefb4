//! Queued requests under way. Each goes by itself, may be lost on its way or on the way back, and may arrive after its
//! sender has given it up.

use syncline::engine::queue::http::{HttpRequest, HttpResponse};
use syncline::job::JobId;
use syncline::{Code, Error};

use crate::device::Stimulus;
use crate::failure::Failure;
use crate::world::{Wake, World};

#[derive(Debug)]
pub(crate) struct Exchange {
    device: usize,
    /// Which of the device's processes waits for it.
    life: u64,
    job: JobId,
    run: u64,
    request: HttpRequest,
    /// Once the server has answered.
    response: Option<HttpResponse>,
    /// Nobody waits for it any more.
    given_up: bool,
}

impl World {
    pub(crate) fn send_request(&mut self, device: usize, job: JobId, run: u64, request: HttpRequest) {
        self.last_link += 1;
        let number = self.last_link;
        self.trace.note(self.now_us, format_args!("{device} requests {number} for job {job}"));
        self.wake_in_ms(request.timeout_ms, Wake::RequestOver(number));
        let life = self.devices[device].lives;
        let exchange = Exchange { device, life, job, run, request, response: None, given_up: false };
        self.exchanges.insert(number, exchange);
        // TCP and TLS, half of the time.
        let trips = if self.random.percent(50) { 1 } else { 3 };
        let at_us = self.now_us + trips * self.latency_us();
        self.wake(at_us, Wake::Request(number));
    }

    pub(crate) fn handle_request(&mut self, number: u64) -> Result<(), Failure> {
        let Some(exchange) = self.exchanges.get(&number) else { return Ok(()) };
        let (device, is_up) = (exchange.device, exchange.response.is_none());
        let reach = self.reach[device];
        let blocked_us = match is_up {
            true => reach.up_from_us,
            false => reach.down_from_us.max(self.devices[device].frozen_until_us),
        };
        if blocked_us > self.now_us {
            self.wake(blocked_us, Wake::Request(number));
            return Ok(());
        }
        if !is_up {
            let response = self.exchanges.get_mut(&number).and_then(|exchange| exchange.response.take());
            return response.map_or(Ok(()), |response| self.end_request(number, Ok(response)));
        }
        if self.now_us < self.server_down_until_us {
            return self.lose_request(number);
        }
        let request = exchange.request.clone();
        let now_ms = self.server_ms();
        let response = self.server.respond(&request, now_ms);
        if !self.calm && self.random.percent(self.plan.faults.twice_percent) {
            let _unheard = self.server.respond(&request, now_ms);
        }
        self.server.backend.check()?;
        let Some(exchange) = self.exchanges.get_mut(&number) else { return Ok(()) };
        if exchange.given_up {
            self.exchanges.remove(&number);
            return Ok(());
        }
        exchange.response = Some(response);
        let serve_us = self.random.between(0, self.plan.server.serve_ms_max) * 1000;
        let at_us = self.now_us + serve_us + self.latency_us();
        self.wake(at_us, Wake::Request(number));
        Ok(())
    }

    /// Its time is over.
    pub(crate) fn handle_request_over(&mut self, number: u64) -> Result<(), Failure> {
        let Some(exchange) = self.exchanges.get(&number) else { return Ok(()) };
        let frozen_us = self.devices[exchange.device].frozen_until_us;
        if frozen_us > self.now_us {
            self.wake(frozen_us, Wake::RequestOver(number));
            return Ok(());
        }
        self.end_request(number, Err(Error::new(Code::Timeout, "the response did not come in time")))
    }

    /// The device's connections break: what is on its way may still arrive.
    pub(crate) fn lose_requests(&mut self, device: usize) -> Result<(), Failure> {
        let numbers: Vec<u64> = self
            .exchanges
            .iter()
            .filter(|(_, found)| found.device == device)
            .map(|(number, _)| *number)
            .collect();
        numbers.into_iter().try_for_each(|number| self.lose_request(number))
    }

    fn lose_request(&mut self, number: u64) -> Result<(), Failure> {
        self.end_request(number, Err(Error::new(Code::Unreachable, "the connection is gone")))
    }

    fn end_request(&mut self, number: u64, result: Result<HttpResponse, Error>) -> Result<(), Failure> {
        let Some(exchange) = self.exchanges.get_mut(&number) else { return Ok(()) };
        if exchange.given_up {
            return Ok(());
        }
        let Exchange { device, life, job, run, .. } = *exchange;
        let arrives_late = result.is_err() && exchange.response.is_none();
        exchange.given_up = true;
        if !arrives_late || self.random.percent(50) {
            self.exchanges.remove(&number);
        }
        let phone = &self.devices[device];
        if phone.life.is_none() || phone.lives != life {
            return Ok(());
        }
        self.turn(device, vec![Stimulus::Responded { job, run, result }])
    }
}
