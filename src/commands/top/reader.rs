//! What the live view shows, as the kernel has it.

use std::io;
use std::time::Instant;

use anyhow::Result;
use ipvs_client::{
    Client, DestinationKey, Error, ServiceKey,
    connections::{self, Choice, PATH, Skipped},
    estimation,
};

use crate::host::module;
use crate::top::{Action, App, Connections, Message, Tally};

/// Reads the table, and connections.
pub(super) struct Reader {
    pub(super) client: Client,
    began: Instant,
    /// Lines that are not connections are reported once.
    skipped_reported: bool,
    /// Of these connections.
    pub(super) choice: Choice,
}

impl Reader {
    pub(super) fn new() -> Result<Self> {
        Ok(Self { client: module::connect()?, began: Instant::now(), skipped_reported: false, choice: Choice::ALL })
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
        let connections = app.wants_connections().map(|(service, servers)| count(&service, &servers, &self.choice));
        match connections {
            None => app.set_connections(None),
            Some(Ok((connections, skipped))) => {
                app.set_connections(Some(connections));
                if let (false, Some(message)) = (self.skipped_reported, skipped.message(PATH)) {
                    self.skipped_reported = true;
                    app.say(Message::Failed(message.to_string()));
                }
            }
            Some(Err(error)) => app.say(Message::Failed(error.to_string())),
        }
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
