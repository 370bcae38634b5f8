//! Plain lines, for logs and pipes: one for each service and server, a reading after the other.

use crate::top::{App, Rates, Row};

/// What the columns are.
pub(crate) const fn header() -> &'static str {
    "TIME SERVICE SERVER WEIGHT ACTIVE INACTIVE PERSISTENT CONN/S INPKT/S OUTPKT/S INBYTE/S OUTBYTE/S\n"
}

/// The lines of the last reading, at this time in seconds since 1970. A service's own line has `-` for a server; a blank
/// only ever parts columns. Rates that are not known are `-`.
pub(crate) fn lines(app: &App, time: u64) -> String {
    app.rows().iter().map(|row| line(app, row, time)).collect()
}

fn line(app: &App, row: &Row, time: u64) -> String {
    let Row { weight, active, inactive, persistent, rates, .. } = row;
    let service = row.service.to_string().replace(' ', "/");
    let server = row.server.map_or_else(|| "-".to_owned(), |server| server.key.to_string());
    let rates = match app.known() {
        Rates::NotYet | Rates::Never => "- - - - -".to_owned(),
        Rates::Known => format!(
            "{:.1} {:.1} {:.1} {:.0} {:.0}",
            rates.connections,
            rates.incoming_packets,
            rates.outgoing_packets,
            rates.incoming_bytes,
            rates.outgoing_bytes
        ),
    };
    format!("{time} {service} {server} {weight} {active} {inactive} {persistent} {rates}\n")
}
