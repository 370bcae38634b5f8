//! What the live view says, in words.

use crate::escape::escaped;
use crate::top::{Message, Question};

/// What yes is the answer to.
pub(super) fn question(question: &Question) -> String {
    match question {
        Question::End => "Servers are being drained. End, and give them their weights back?".to_owned(),
        Question::Weight { service, server, weight } => {
            format!("Give {} of {} the weight {weight} instead of {}?", server.key, service, server.weight)
        }
        Question::Drain { service, server } => format!(
            "Drain {} of {}: weight 0 instead of {}, and deleted once its connections are gone?",
            server.key, service, server.weight
        ),
        Question::StopDraining { server, .. } => {
            format!("Stop draining {}, and give it its weight back?", server)
        }
    }
}

/// What stands in the last line.
pub(super) fn message(message: &Message) -> String {
    match message {
        Message::Gone((_, Some(server))) => format!("{} is gone", server),
        Message::Gone((service, None)) => format!("{} is gone", service),
        Message::Drained(server) => format!("{} is drained and deleted", server),
        Message::Disturbed(what) => format!("{what}: the drain ends here"),
        Message::IsDraining => "It is being drained: d stops that".to_owned(),
        Message::ServiceHasNoWeight => "A service has no weight: choose one of its servers".to_owned(),
        Message::ServiceIsNotDrained => "Choose one of the servers to drain it".to_owned(),
        Message::NoWeight(weight) => format!("{weight} is not a weight: 0 to {}", i32::MAX),
        Message::NothingChanged => "Nothing was changed".to_owned(),
        Message::Unsettled => "The table kept changing while it was read".to_owned(),
        Message::NoServer => "The server is not in the table any more".to_owned(),
        Message::Failed(text) => escaped(text).into_owned(),
    }
}
