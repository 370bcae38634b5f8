//! The metrics: their names, types and meanings. What stands here is a promise, as the JSON schema is: a metric is added, and
//! then keeps its name, type and labels. `docs/metrics.md` describes them; a test compares it with this.

/// What a metric has a sample for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// IPVS of the network namespace.
    Whole,
    /// A virtual service.
    Service,
    /// A real server of a virtual service.
    Server,
}

/// What a metric's values do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// They only grow, until what they count is deleted or zeroed.
    Counter,
    /// They go up and down.
    Gauge,
    /// They are 1; what the metric says stands in its labels.
    Info,
}

/// A metric of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Which.
    pub id: Id,
    /// Its name, as samples have it in the text format.
    pub name: &'static str,
    /// What it has a sample for.
    pub scope: Scope,
    /// What its values do.
    pub kind: Kind,
    /// The unit, where it has one that the name ends with.
    pub unit: Option<&'static str>,
    /// What it means, in a line.
    pub help: &'static str,
    /// Its labels, beside those of its scope.
    pub labels: &'static [&'static str],
}

/// The labels of services: those of node_exporter, and the family.
pub const SERVICE_LABELS: [&str; 5] = ["local_address", "local_port", "proto", "local_mark", "family"];
/// The labels of servers beside those of their service.
pub const SERVER_LABELS: [&str; 2] = ["remote_address", "remote_port"];

macro_rules! metrics {
    ($($id:ident $name:literal $scope:ident $kind:ident $unit:expr, [$($label:literal),*], $help:literal;)*) => {
        /// Which metric.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the catalogue has what each means")]
        pub enum Id {
            $($id,)*
        }

        /// Every metric, in the order in which they are written.
        pub const METRICS: &[Metric] = &[
            $(Metric {
                id: Id::$id,
                name: $name,
                scope: Scope::$scope,
                kind: Kind::$kind,
                unit: $unit,
                help: $help,
                labels: &[$($label),*],
            },)*
        ];
    };
}

metrics! {
    Ipvs "ipvs_info" Whole Info None, ["version"],
        "The version of the kernel's IPVS.";
    EstimationRunning "ipvs_estimation_running" Whole Gauge None, [],
        "Whether the kernel counts. Where this is 0, every counter stands still.";
    UncountedServers "ipvs_estimation_uncounted_servers" Whole Gauge None, [],
        "Servers that have connections, none of which is counted: of these nothing is known yet.";
    TableEntries "ipvs_hash_table_entries" Whole Gauge None, ["table"],
        "What is in a hash table. Linux before 7 does not say.";
    TableBuckets "ipvs_hash_table_buckets" Whole Gauge None, ["table"],
        "The buckets of a hash table. Linux before 7 says it of connections only.";
    TableEmptyBuckets "ipvs_hash_table_empty_buckets" Whole Gauge None, ["table"],
        "The buckets of a hash table that nothing is in. Linux before 7 does not say.";
    TableLoadFactor "ipvs_hash_table_load_factor" Whole Gauge None, ["table"],
        "A hash table grows beyond 2 to the power of this entries to a bucket. Linux before 7 has none.";
    ConnectionLimit "ipvs_connection_limit" Whole Gauge None, [],
        "The most connections that the kernel takes. Linux before 7 has no limit.";
    Timeout "ipvs_timeout_seconds" Whole Gauge Some("seconds"), ["timeout"],
        "After this time without packets a connection is forgotten.";
    Daemon "ipvs_daemon_info" Whole Info None,
        ["role", "interface", "sync_id", "maximum_length_bytes", "multicast_group", "multicast_port", "multicast_ttl"],
        "A connection synchronisation daemon that runs.";
    SavedRulesChanges "ipvs_saved_rules_changes" Whole Gauge None, [],
        "The changes that would make the table equal to the file of rules that --saved names.";
    ServiceInfo "ipvs_service_info" Service Info None,
        ["scheduler", "scheduler_flags", "one_packet", "persistence_seconds", "persistence_mask", "persistence_engine"],
        "A virtual service.";
    ServiceConnections "ipvs_service_connections_total" Service Counter None, [],
        "Connections scheduled by a service.";
    ServiceIncomingPackets "ipvs_service_incoming_packets_total" Service Counter None, [],
        "Packets from clients to a service.";
    ServiceOutgoingPackets "ipvs_service_outgoing_packets_total" Service Counter None, [],
        "Packets from a service to clients, as far as they pass the director.";
    ServiceIncomingBytes "ipvs_service_incoming_bytes_total" Service Counter Some("bytes"), [],
        "Bytes from clients to a service.";
    ServiceOutgoingBytes "ipvs_service_outgoing_bytes_total" Service Counter Some("bytes"), [],
        "Bytes from a service to clients, as far as they pass the director.";
    ServerInfo "ipvs_server_info" Server Info None,
        ["forwarding", "tunnel_type", "tunnel_port", "tunnel_checksum", "remote_family"],
        "A real server.";
    ServerConnections "ipvs_server_connections_total" Server Counter None, [],
        "Connections given to a server.";
    ServerIncomingPackets "ipvs_server_incoming_packets_total" Server Counter None, [],
        "Packets from clients to a server.";
    ServerOutgoingPackets "ipvs_server_outgoing_packets_total" Server Counter None, [],
        "Packets from a server to clients, as far as they pass the director.";
    ServerIncomingBytes "ipvs_server_incoming_bytes_total" Server Counter Some("bytes"), [],
        "Bytes from clients to a server.";
    ServerOutgoingBytes "ipvs_server_outgoing_bytes_total" Server Counter Some("bytes"), [],
        "Bytes from a server to clients, as far as they pass the director.";
    ServerActive "ipvs_server_active_connections" Server Gauge None, [],
        "Connections to a server that are established.";
    ServerInactive "ipvs_server_inactive_connections" Server Gauge None, [],
        "All other connections to a server that are not forgotten yet.";
    ServerPersistent "ipvs_server_persistent_connections" Server Gauge None, [],
        "Clients bound to a server by persistence.";
    ServerWeight "ipvs_server_weight" Server Gauge None, [],
        "The weight of a server. With 0 it gets no new connections.";
    ServerUpperThreshold "ipvs_server_upper_threshold" Server Gauge None, [],
        "At this number of connections a server gets no more; 0 is no threshold.";
    ServerLowerThreshold "ipvs_server_lower_threshold" Server Gauge None, [],
        "Below this number of connections a server gets new ones again; 0 is no threshold.";
    ScrapeSuccess "ipvs_scrape_success" Whole Gauge None, [],
        "Whether the table was read. Where this is 0, there is nothing else.";
    LastUpdate "ipvs_last_update_seconds" Whole Gauge Some("seconds"), [],
        "When the table was read, in seconds since 1970.";
}

/// Some of the metrics (`--only`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selection(u64);

const _: () = assert!(METRICS.len() < 64);

impl Selection {
    /// All of them.
    pub const ALL: Self = Self(u64::MAX);

    /// Those whose names are these words, or begin with one of them and an underscore; `ipvs_` before a word can be left
    /// out. What says whether and when the table was read is always there.
    ///
    /// # Errors
    /// A word that no metric begins with.
    pub fn of<'w>(words: impl Iterator<Item = &'w [u8]>) -> Result<Self, &'w [u8]> {
        let mut chosen = 1 << Id::ScrapeSuccess as u64 | 1 << Id::LastUpdate as u64;
        for word in words {
            let matching = METRICS.iter().filter(|metric| names(word, metric)).fold(0, |all, metric| all | bit(metric));
            if matching == 0 {
                return Err(word);
            }
            chosen |= matching;
        }
        Ok(Self(chosen))
    }

    /// Whether this one is chosen.
    #[must_use]
    pub fn has(self, metric: &Metric) -> bool {
        self.0 & bit(metric) != 0
    }

    /// Whether services and servers have to be read for what is chosen.
    #[must_use]
    pub fn is_of_table(self) -> bool {
        let uncounted = METRICS.iter().any(|metric| metric.id == Id::UncountedServers && self.has(metric));
        uncounted || self.has_any(Scope::Service) || self.has_any(Scope::Server)
    }

    /// Whether any of this scope is.
    #[must_use]
    pub fn has_any(self, scope: Scope) -> bool {
        METRICS.iter().any(|metric| metric.scope == scope && self.has(metric))
    }
}

fn bit(metric: &Metric) -> u64 {
    1 << metric.id as u64
}

fn names(word: &[u8], metric: &Metric) -> bool {
    let name = metric.name.as_bytes();
    let word = word.strip_prefix(b"ipvs_").unwrap_or(word);
    match name.strip_prefix(b"ipvs_").and_then(|name| name.strip_prefix(word)) {
        Some(rest) => !word.is_empty() && matches!(rest, [] | [b'_', ..]),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(words: &str) -> Result<Vec<&str>, String> {
        let selection = Selection::of(words.split(',').map(str::as_bytes));
        let selection = selection.map_err(|word| String::from_utf8_lossy(word).into_owned())?;
        Ok(METRICS.iter().filter(|metric| selection.has(metric)).map(|metric| metric.name).collect())
    }

    #[test]
    fn words_choose_metrics() {
        let always = ["ipvs_scrape_success", "ipvs_last_update_seconds"];
        assert_eq!(chosen("server_weight").unwrap(), ["ipvs_server_weight", always[0], always[1]]);
        assert_eq!(chosen("ipvs_server_weight"), chosen("server_weight"));
        assert_eq!(chosen("server").unwrap().len(), 12 + 2);
        assert_eq!(chosen("service,server").unwrap().len(), 6 + 12 + 2);
        assert_eq!(chosen("serv"), Err("serv".to_owned()));
        assert_eq!(chosen("server,"), Err(String::new()));
        assert_eq!(chosen("ipvs_"), Err("ipvs_".to_owned()));
    }

    #[test]
    fn names_have_the_suffixes_of_their_kinds_and_units() {
        for metric in METRICS {
            let base = match metric.kind {
                Kind::Counter => metric.name.strip_suffix("_total"),
                Kind::Info => metric.name.strip_suffix("_info"),
                Kind::Gauge => Some(metric.name),
            };
            let base = base.unwrap_or_else(|| panic!("{}", metric.name));
            assert!(metric.unit.is_none_or(|unit| base.ends_with(&format!("_{unit}"))), "{}", metric.name);
            assert!(metric.help.ends_with('.') && !metric.help.contains(['\\', '\n', '"']), "{}", metric.name);
        }
    }
}
