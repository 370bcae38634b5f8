//! How full the kernel's hash tables are.

/// A hash table of the kernel's that grows and shrinks by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HashTable {
    /// What is in it.
    pub entries: u64,
    /// Its buckets; 0 if it has not been made yet.
    pub buckets: u64,
    /// Those of them that nothing is in.
    pub empty_buckets: Option<u64>,
    /// It grows when there are more than 2 to the power of this entries to a bucket.
    pub load_factor: Option<i32>,
}

/// The hash tables of a network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HashTables {
    /// Of connections.
    pub connections: HashTable,
    /// Of services.
    pub services: HashTable,
    /// The most connections there may be.
    pub connection_limit: Option<u64>,
}

impl HashTable {
    /// A table with this many entries and buckets.
    #[must_use]
    pub const fn new(entries: u64, buckets: u64) -> Self {
        Self { entries, buckets, empty_buckets: None, load_factor: None }
    }
}

impl HashTables {
    /// These tables, without a limit for connections.
    #[must_use]
    pub const fn new(connections: HashTable, services: HashTable) -> Self {
        Self { connections, services, connection_limit: None }
    }
}
