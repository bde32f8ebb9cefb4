//! A server within a program of your own, which decides itself who may do what, and what documents may be.
//!
//! ```sh
//! cargo run -p syncline-server --example embedded
//! ```
//!
//! The teams of a user would come from a database; here they stand in a table. `POST /dev/token` gives a token for
//! anybody, such as `{"sub": "ann"}`.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;

use syncline_protocol::{Room, Value};
use syncline_server::access::{Authorize, Identity, Right, Rights, Ruling};
use syncline_server::validate::{Effect, Validate};
use syncline_server::{Config, Mode, Server};
use tokio::sync::RwLock;

/// Who is in which team.
#[derive(Default)]
struct Teams(RwLock<HashMap<String, Vec<String>>>);

impl Authorize for Teams {
    fn rights<'a>(&'a self, who: &'a Identity, room: &'a Room) -> Ruling<'a> {
        Box::pin(async move {
            let Some(team) = room.as_str().strip_prefix("team:") else { return Ok(Rights::NONE) };
            let teams = self.0.read().await;
            let is_member = teams.get(&who.user).is_some_and(|own| own.iter().any(|it| it == team));
            Ok(if is_member { Rights::ALL } else { [Right::Read].into_iter().collect() })
        })
    }
}

/// A task has a title.
struct Titled;

impl Validate for Titled {
    fn validate(&self, Effect { after, .. }: &Effect<'_>) -> Result<(), String> {
        let is_task = after.collection.as_str() == "tasks" && !after.deleted;
        match after.fields.get("title") {
            Some(Value::String(title)) if !title.is_empty() => Ok(()),
            _ if is_task => Err("a task needs a title".to_owned()),
            _ => Ok(()),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let teams = Arc::new(Teams::default());
    teams.0.write().await.insert("ann".to_owned(), vec!["red".to_owned()]);
    let mode = Mode::Development { jwt_secret: None };
    let mut config = Config::new("127.0.0.1:4800".parse()?, "syncline-data".into(), mode);
    config.hooks.authorize = Some(Arc::clone(&teams) as Arc<dyn Authorize>);
    config.hooks.validate = Some(Arc::new(Titled));
    let server = Server::bind(config).await?;
    // Whoever changes the teams has live connections look at their rights again.
    let handle = server.handle();
    teams.0.write().await.insert("bob".to_owned(), vec!["red".to_owned()]);
    handle.recheck();
    tracing::info!(address = %server.local_addr(), "listening");
    server
        .run(async {
            let _ = tokio::signal::ctrl_c().await;
        })
        .await?;
    Ok(())
}
