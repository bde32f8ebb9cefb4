//! Everything that a run is set up with, drawn by its seed. A new setting of the client or of the server is drawn here
//! and nowhere else.

use std::collections::BTreeMap;

use syncline::transport::Parser;
use syncline::{CollectionOptions, Collections, ConflictStrategy, Settings};
use syncline_protocol::message::event;
use syncline_protocol::{Collection, Limits, Room};
use syncline_server::config::{HubConfig, PresenceConfig};

use crate::random::Random;

/// Set by the seed, fixed for a run.
#[derive(Debug, Clone)]
pub struct Plan {
    pub devices: usize,
    pub rooms: Vec<Room>,
    pub collections: Vec<Collection>,
    pub options: Collections,
    pub settings: Settings,
    pub parser: Parser,
    pub server: ServerPlan,
    pub network: NetworkPlan,
    pub faults: FaultPlan,
    pub users: UserPlan,
    /// Lanes of jobs on each device.
    pub lanes: u64,
    /// How often faults and quiet follow each other.
    pub rounds: u64,
    /// How long faults go on in one round, in milliseconds.
    pub round_ms: u64,
}

#[derive(Debug, Clone)]
pub struct ServerPlan {
    pub limits: Limits,
    pub hub: HubConfig,
    pub presence: PresenceConfig,
    pub ping_interval_ms: u64,
    pub ping_timeout_ms: u64,
    pub events_queued_max: usize,
    pub events_queued_bytes_max: usize,
    pub rejections_kept_max: usize,
    /// From a request's arrival to its answer.
    pub serve_ms_max: u64,
    pub token_ms: u64,
    /// Requests that it takes and another server need not.
    pub offers: &'static [&'static str],
}

#[derive(Debug, Clone, Copy)]
pub struct NetworkPlan {
    pub latency_us_min: u64,
    pub latency_us_max: u64,
    /// Segments under way before the server waits for the reader.
    pub packets_queued_max: usize,
}

impl NetworkPlan {
    fn is_slow(self) -> bool {
        self.latency_us_max > 10_000
    }
}

/// How often each fault happens, in relation to the others; 0 for never in this run.
#[derive(Debug, Clone)]
pub struct FaultPlan {
    pub weights: Vec<(u64, Fault)>,
    pub pause_ms_max: u64,
    /// Live events lost, doubled and swapped, in percent each.
    pub mail_percent: u64,
    /// Answers that arrive twice, in percent.
    pub twice_percent: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Kill,
    Partition,
    OneWayPartition,
    Flapping,
    Blackhole,
    Disconnect,
    ServerRestart,
    ServerTrouble,
    TokenRevoked,
    RoomRevoked,
    RoomReset,
    ClockJump,
    Suspend,
    SlowClient,
    BusyApp,
    LongSleep,
    DiskFull,
    SyncFailure,
    CacheFailure,
}

impl Fault {
    const ALL: [Self; 19] = [
        Self::Kill,
        Self::Partition,
        Self::OneWayPartition,
        Self::Flapping,
        Self::Blackhole,
        Self::Disconnect,
        Self::ServerRestart,
        Self::ServerTrouble,
        Self::TokenRevoked,
        Self::RoomRevoked,
        Self::RoomReset,
        Self::ClockJump,
        Self::Suspend,
        Self::SlowClient,
        Self::BusyApp,
        Self::LongSleep,
        Self::DiskFull,
        Self::SyncFailure,
        Self::CacheFailure,
    ];
}

#[derive(Debug, Clone, Copy)]
pub struct UserPlan {
    pub pause_ms_max: u64,
    /// A user who is away for longer now and then.
    pub break_ms_max: u64,
}

const STRATEGIES: [(&str, ConflictStrategy); 6] = [
    ("merged", ConflictStrategy::Merge),
    ("newest", ConflictStrategy::LastWriteWins),
    ("oldest", ConflictStrategy::FirstWriteWins),
    ("theirs", ConflictStrategy::ServerWins),
    ("mine", ConflictStrategy::ClientWins),
    ("asked", ConflictStrategy::Manual),
];

#[allow(clippy::expect_used)]
fn room(number: usize) -> Room {
    Room::new(format!("list:{number}")).expect("a valid name")
}

#[allow(clippy::expect_used)]
fn collection(name: &str) -> Collection {
    Collection::new(name).expect("a valid name")
}

impl Plan {
    pub fn draw(random: &mut Random) -> Self {
        let quick = random.percent(80);
        let rooms = (1..=random.between(1, 3)).filter_map(|number| usize::try_from(number).ok()).map(room);
        let options = draw_collections(random);
        let network = draw_network(quick, random);
        let settings = if quick { quick_settings(random) } else { Settings::default() };
        Self {
            devices: random.one_of([2, 3, 3, 3, 4]),
            rooms: rooms.collect(),
            collections: options.options.keys().cloned().collect(),
            options,
            settings: draw_jobs(draw_sizes(&settings, network, random), network, random),
            lanes: if network.is_slow() { 8 } else { 3 },
            parser: random.one_of([Parser::Msgpack, Parser::Msgpack, Parser::Json]),
            server: draw_server(quick, network, random),
            network,
            faults: draw_faults(quick, random),
            users: UserPlan {
                pause_ms_max: random.one_of([300, 1_000, 3_000]),
                break_ms_max: random.one_of([1_000, 30_000]),
            },
            rounds: random.between(1, 2),
            round_ms: random.between(20_000, 90_000),
        }
    }
}

fn draw_collections(random: &mut Random) -> Collections {
    let first = random.index(STRATEGIES.len());
    let second = random.index(STRATEGIES.len());
    let drawn = [STRATEGIES[0], STRATEGIES[first], STRATEGIES[second]];
    let options = drawn.into_iter().map(|(name, strategy)| {
        let options = CollectionOptions {
            conflict: Some(strategy),
            push_debounce_ms: random.one_of([None, None, Some(0), Some(600)]),
            coalesce: random.one_of([None, None, Some(false)]),
            indexes: vec![],
        };
        (collection(name), options)
    });
    Collections { conflict: ConflictStrategy::Merge, options: options.collect::<BTreeMap<_, _>>() }
}

/// Every wait is short enough that what a dead connection hides is found, and made good, within ten seconds.
fn quick_settings(random: &mut Random) -> Settings {
    Settings {
        connect_timeout_ms: 1_500,
        sync_timeout_ms: 5_000,
        reconnect_delay_ms: random.one_of([50, 200]),
        reconnect_delay_ms_max: random.one_of([400, 1_000]),
        offline_probe_ms: random.one_of([1_000, 30_000]),
        request_timeout_ms: random.one_of([1_500, 2_500]),
        probe_timeout_ms: random.one_of([500, 1_000]),
        presence_ping_ms: random.one_of([1_000, 2_000]),
        presence_throttle_ms: random.one_of([0, 100, 1_000]),
        background_grace_ms: random.one_of([0, 2_000]),
        cache_flush_ms: random.one_of([20, 300, 1_000]),
        retry_delay_ms: random.one_of([100, 500]),
        ..Settings::default()
    }
}

/// Small sizes, so that a short run has many batches and pages, and meets every cap. Where each takes long, they are
/// larger, or the ten seconds would not do for what a user can write.
fn draw_sizes(settings: &Settings, network: NetworkPlan, random: &mut Random) -> Settings {
    let slow = network.is_slow();
    Settings {
        push_count_max: random.one_of([if slow { 5 } else { 1 }, 5, 500]),
        push_bytes_max: random.one_of([if slow { 2_000 } else { 200 }, 2_000, 128 << 10]),
        push_window_bytes: random.one_of([if slow { 8_000 } else { 400 }, 8_000, 512 << 10]),
        page_count_max: random.one_of([if slow { 10 } else { 1 }, 10, 1_000]),
        pulls_parallel_max: random.one_of([1, 4]),
        cache_bytes_max: random.one_of([2_000, 256 << 20]),
        cache_check_ms: random.one_of([500, 10_000]),
        queue_count_max: random.one_of([20, 60, if slow { 60 } else { 200 }]),
        document_bytes_max: random.one_of([4_000, 1 << 20]),
        ..settings.clone()
    }
}

/// A job that waits for its next attempt is done before the ten seconds are over.
fn draw_jobs(settings: Settings, network: NetworkPlan, random: &mut Random) -> Settings {
    Settings {
        job_attempts_max: random.one_of([2, 5]),
        jobs_parallel_max: random.one_of([if network.is_slow() { 8 } else { 1 }, 8]),
        job_retry_delay_ms: random.one_of([20, 100]),
        job_retry_delay_ms_max: random.one_of([200, 400]),
        job_ack_timeout_ms: 1_500,
        http_timeout_ms: random.one_of([1_500, 3_000]),
        ..settings
    }
}

fn draw_server(quick: bool, network: NetworkPlan, random: &mut Random) -> ServerPlan {
    let slow = network.is_slow();
    let limits = Limits {
        push_count_max: random.one_of([if slow { 5 } else { 2 }, 5, 500]),
        page_count_max: random.one_of([if slow { 10 } else { 2 }, 10, 1_000]),
        presence_lease_ms: if quick { random.one_of([2_000, 5_000]) } else { 70_000 },
        ..Limits::default()
    };
    // Ghosts are gone before the ten seconds are over, whatever they asked for.
    let presence = PresenceConfig {
        grace_ms: random.one_of([0, 500, 3_000]),
        background_lease_ms_max: random.one_of([1_000, 6_000]),
        lost_connections_max: random.one_of([1, 10_000]),
        ..PresenceConfig::default()
    };
    let hub = HubConfig {
        transaction_bytes_max: random.one_of([if slow { 8_000 } else { 400 }, 16 << 20]),
        live_bytes_max: random.one_of([600, 256 << 10]),
        page_bytes_max: random.one_of([if slow { 20_000 } else { 500 }, 1 << 20]),
        ..HubConfig::default()
    };
    let (ping_interval_ms, ping_timeout_ms) = if quick { (1_500, 1_000) } else { (25_000, 20_000) };
    ServerPlan {
        limits,
        hub,
        presence,
        ping_interval_ms,
        ping_timeout_ms,
        events_queued_max: random.one_of([if slow { 256 } else { 4 }, 256]),
        events_queued_bytes_max: random.one_of([2_000, 4 << 20]),
        rejections_kept_max: 10_000,
        serve_ms_max: random.one_of([1, 5, 15]),
        token_ms: random.one_of([20_000, 3_600_000]),
        offers: random.one_of([&[][..], &[event::AUTH_REFRESH][..]]),
    }
}

fn draw_network(quick: bool, random: &mut Random) -> NetworkPlan {
    let latency_us_min = random.one_of([500, 5_000, 30_000]);
    NetworkPlan {
        latency_us_min,
        latency_us_max: latency_us_min * random.one_of([1, 2, if quick { 4 } else { 10 }]),
        packets_queued_max: random.one_of([8, 64]),
    }
}

/// Each run knows only some of the faults: two that hide each other meet seldom enough.
fn draw_faults(quick: bool, random: &mut Random) -> FaultPlan {
    let known = Fault::ALL.into_iter().filter(|fault| quick || *fault != Fault::Blackhole);
    let weights = known.map(|fault| (random.one_of([0, 1, 1, 3]), fault)).collect();
    FaultPlan {
        weights,
        pause_ms_max: random.one_of([1_500, 6_000, 20_000]),
        // What a lost event hides is found by the next ping only: too late for the default settings.
        mail_percent: if quick { random.one_of([0, 0, 5, 20]) } else { 0 },
        twice_percent: random.one_of([0, 3]),
    }
}
