//! How full the kernel's tables of connections and services are: `/proc/net/ip_vs_status`, and the settings that size
//! them. Linux before 7 has neither.

use std::fs;
use std::io;
use std::str::FromStr;

pub use crate::model::{HashTable, HashTables};

/// How full the tables are. Only root may read it.
pub const STATUS: &str = "/proc/net/ip_vs_status";
/// The most connections there may be.
pub const CONNECTION_LIMIT: &str = "net/ipv4/vs/conn_max";
/// The load factor of the table of connections.
pub const CONNECTION_LOAD: &str = "net/ipv4/vs/conn_lfactor";
/// The load factor of the table of services.
pub const SERVICE_LOAD: &str = "net/ipv4/vs/svc_lfactor";

/// Read them for the network namespace of this thread. Nothing if this kernel does not say.
///
/// # Errors
/// They cannot be read, or are not what this reads.
pub fn read() -> io::Result<Option<HashTables>> {
    // /proc/net is that of the process's first thread.
    let text = match fs::read_to_string("/proc/thread-self/net/ip_vs_status") {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let tables = parse(&text, setting(CONNECTION_LOAD), setting(SERVICE_LOAD), setting(CONNECTION_LIMIT));
    tables.map(Some).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("{STATUS} is not understood")))
}

fn setting<T: FromStr>(key: &str) -> Option<T> {
    fs::read_to_string(format!("/proc/sys/{key}")).ok()?.trim().parse().ok()
}

/// Of the lines `NAME:\tNUMBER (MORE)` those that are about both tables. Others may come and go.
fn parse(
    text: &str,
    connection_load: Option<i32>,
    service_load: Option<i32>,
    connection_limit: Option<u64>,
) -> Option<HashTables> {
    let number = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        value.trim_start().split([' ', '\t']).next()?.parse::<u64>().ok()
    };
    let connections = HashTable {
        entries: number("Conns")?,
        buckets: number("Conn buckets")?,
        empty_buckets: number("Conn buckets empty"),
        load_factor: connection_load,
    };
    let services = HashTable {
        entries: number("Services")?,
        buckets: number("Service buckets")?,
        empty_buckets: number("Service buckets empty"),
        load_factor: service_load,
    };
    Some(HashTables { connections, services, connection_limit })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_kernel_says() {
        let text = "Conns:\t2\nConn buckets:\t256 (8 bits, lfactor -4)\nConn buckets empty:\t253 (98%)\n\
            Conn buckets len-1:\t3 (100%)\nServices:\t1\nService buckets:\t16 (4 bits, lfactor -3)\n\
            Service buckets empty:\t15 (93%)\nService buckets len-1:\t1 (100%)\nStats thread slots:\t1 (max 4)\n";
        let tables = parse(text, Some(-4), Some(-3), Some(1 << 30)).unwrap();
        let connections = HashTable { entries: 2, buckets: 256, empty_buckets: Some(253), load_factor: Some(-4) };
        let services = HashTable { entries: 1, buckets: 16, empty_buckets: Some(15), load_factor: Some(-3) };
        assert_eq!(tables, HashTables { connections, services, connection_limit: Some(1 << 30) });
    }

    #[test]
    fn tables_that_are_not_made_yet() {
        let text = "Conns:\t0\nConn buckets:\t0 (0 bits, lfactor 0)\nServices:\t0\n\
            Service buckets:\t0 (0 bits, lfactor 0)\nStats thread slots:\t1 (max 0)\n";
        let tables = parse(text, None, None, None).unwrap();
        let none = HashTable { entries: 0, buckets: 0, empty_buckets: None, load_factor: None };
        assert_eq!(tables, HashTables { connections: none, services: none, connection_limit: None });
    }

    #[test]
    fn something_else() {
        for text in ["", "Conns:\n", "Conns:\t-1\nConn buckets:\t1\n", "Conns: 1\nServices: 1\n", ":\n::\n"] {
            assert_eq!(parse(text, None, None, None), None, "{text:?}");
        }
    }
}
