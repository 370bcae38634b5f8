//! What the live view shows, as the kernel has it.

use std::io;
use std::time::{Duration, Instant};

use anyhow::Result;
use ipvs_client::{
    Client, DestinationKey, Error, ServiceKey,
    connections::{self, Choice, PATH, Skipped},
    estimation,
};

use crate::commands::list::connections::{Reading, slowness};
use crate::host::module;
use crate::top::{Action, App, Connections, Message, Tally};

/// Reads the table, and connections.
pub(super) struct Reader {
    pub(super) client: Client,
    began: Instant,
    /// What there is to say of the list of connections is said once.
    reported: bool,
    /// The last reading of that list, and of whose connections.
    last: Option<(Reading, (ServiceKey, Vec<DestinationKey>))>,
    /// Of these connections.
    pub(super) choice: Choice,
}

impl Reader {
    pub(super) fn new() -> Result<Self> {
        Ok(Self { client: module::connect()?, began: Instant::now(), reported: false, last: None, choice: Choice::ALL })
    }

    /// Read the table, and connections if they are shown. Says what follows for drains.
    pub(super) fn read(&mut self, app: &mut App) -> Result<Vec<Action>> {
        app.set_stopped(estimation::stopped());
        let table = match self.client.table() {
            Ok(table) => table,
            // It will do so the next time.
            Err(Error::Unsettled) => {
                app.say(Message::Unsettled);
                return Ok(Vec::new());
            }
            Err(error) => return Err(error.into()),
        };
        let actions = app.read(table, self.began.elapsed());
        let Some(wanted) = app.wants_connections() else {
            app.set_connections(None);
            self.last = None;
            return Ok(actions);
        };
        if self.last.as_ref().is_some_and(|(reading, of)| *of == wanted && reading.is_recent(Duration::ZERO)) {
            return Ok(actions);
        }
        let began = Instant::now();
        match count(&wanted.0, &wanted.1, &self.choice) {
            Ok((connections, skipped)) => {
                app.set_connections(Some(connections));
                let message = skipped.message(PATH).map(|message| message.to_string()).or_else(|| slowness(skipped));
                if let Some(message) = message.filter(|_| !self.reported) {
                    self.reported = true;
                    app.say(Message::Failed(message));
                }
            }
            Err(error) => app.say(Message::Failed(error.to_string())),
        }
        self.last = Some((Reading::since(began), wanted));
        Ok(actions)
    }
}

/// Count the connections of these servers of a service. Says what of the list was skipped.
fn count(service: &ServiceKey, servers: &[DestinationKey], choice: &Choice) -> io::Result<(Connections, Skipped)> {
    let mut tally = Tally::default();
    let skipped = connections::read(connections::open()?, |connection| {
        if choice.has(connection) && connection.belongs_to(service, servers) {
            tally.add(connection);
        }
        Ok(())
    })?;
    Ok((tally.finish(), skipped))
}
