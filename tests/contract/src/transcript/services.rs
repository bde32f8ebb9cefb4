//! What a transcript talks to, in this process and over real sockets.

use std::net::SocketAddr;
use std::path::Path;

use syncline_integration::TestServer;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::Service;
use super::matching::Bindings;
/// Servers that were started, and where.
#[derive(Default)]
pub(super) struct Services {
    server: Option<TestServer>,
    listens_at: Option<SocketAddr>,
    backend: Option<JoinHandle<std::io::Result<()>>>,
}

impl Services {
    pub(super) async fn start(
        &mut self,
        service: Service,
        data: &Path,
        bindings: &mut Bindings,
    ) -> Result<(), String> {
        match service {
            Service::Server => {
                let listen = self.listens_at.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
                let server = TestServer::start_at(listen, data).await;
                self.listens_at = Some(server.addr);
                bindings.bind("server", server.url());
                self.server = Some(server);
            }
            Service::Backend => {
                let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
                let addr = listener.local_addr().map_err(|error| error.to_string())?;
                bindings.bind("backend", format!("http://{addr}"));
                self.backend = Some(tokio::spawn(syncline_contract_backend::serve(listener)));
            }
        }
        Ok(())
    }

    pub(super) async fn stop(&mut self, service: Service) {
        match service {
            Service::Server => {
                if let Some(server) = self.server.take() {
                    server.stop().await;
                }
            }
            Service::Backend => {
                if let Some(backend) = self.backend.take() {
                    backend.abort();
                }
            }
        }
    }
}
