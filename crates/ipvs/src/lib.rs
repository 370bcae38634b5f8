//! IPVS, the load balancer in the Linux kernel: read and change its table of virtual services over generic netlink.
//!
//! ```no_run
//! use ipvs_client::{Client, Destination, Service, scheduler};
//!
//! let mut client = Client::connect()?;
//! let web = Service::tcp([192, 0, 2, 1], 80, scheduler::WRR).persistent(300);
//! client.add_service(&web)?;
//! client.add_destination(&web.key, &Destination::direct([10, 0, 0, 1], 80).weight(3))?;
//!
//! for service in client.table()?.services {
//!     println!("{}: {} servers", service.entry.service.key, service.destinations.len());
//! }
//! # Ok::<(), ipvs_client::Error>(())
//! ```
//!
//! # Where to begin
//!
//! | what you want | where it is |
//! |---|---|
//! | read the table, counters, timeouts and daemons | [`Client::table`], [`Client::timeouts`], [`Client::daemons`] |
//! | make one change | [`Client::add_service`] and the like, or [`Client::change`] with a [`Change`] |
//! | make many changes | [`Client::batch`] |
//! | describe a service or server | [`Service::tcp`], [`Destination::direct`] |
//! | find out what differs, and the fewest changes | [`plan::difference`] |
//! | make the table equal to another, all or nothing | [`transaction::Transaction`] |
//! | read the connections | [`connections::read`] |
//! | find out how full the kernel's tables are | [`hash_tables::read`] |
//! | find out which server `sh`, `mh` and `dh` choose for a client | [`mapping::Mapping`] |
//! | find out why the kernel refused | [`Error::Refused`], [`Refusal`] |
//!
//! Services and servers are called what [`ServiceKey`] and [`DestinationKey`] are as text, which can be read back:
//!
//! ```
//! use ipvs_client::{DestinationKey, ServiceKey};
//!
//! let service: ServiceKey = "TCP 192.0.2.1:80".parse()?;
//! assert_eq!(service, ServiceKey::tcp([192, 0, 2, 1], 80));
//! let server: DestinationKey = "[2001:db8::2]:80".parse()?;
//! assert_eq!(server.to_string(), "[2001:db8::2]:80");
//! # Ok::<(), ipvs_client::BadKey>(())
//! ```
//!
//! # From one table to another
//!
//! [`plan`] works on rules alone, so it needs no kernel:
//!
//! ```
//! use ipvs_client::plan::{Options, RuleSet, State, difference};
//! use ipvs_client::{Change, Destination, Service, scheduler};
//!
//! let web = Service::tcp([192, 0, 2, 1], 80, scheduler::WRR);
//! let rules = |weight| {
//!     let mut rules = RuleSet::new();
//!     let server = Destination::direct([10, 0, 0, 1], 80).weight(weight);
//!     // The line of a file that a rule comes from; 0 if it comes from none.
//!     rules.apply(&Change::AddService(web), 0)?;
//!     rules.apply(&Change::AddDestination(web.key, server), 0)?;
//!     Ok::<_, ipvs_client::plan::Finding>(State { services: rules.finish(), ..State::default() })
//! };
//! let (have, want) = (rules(1), rules(3));
//! # let (have, want) = (have.unwrap(), want.unwrap());
//! let steps = difference(&have, &want, Options::default());
//! assert_eq!(steps.len(), 1);
//! assert!(matches!(steps[0].change, Change::EditDestination(key, server) if key == web.key && server.weight == 3));
//! ```
//!
//! [`transaction`] carries such a plan out: all of it or nothing, in an order in which no service that carries traffic is
//! deleted and made again.
//!
//! # What it takes
//!
//! Everything over netlink takes the capability `CAP_NET_ADMIN` in the user namespace that owns the network namespace, and
//! is an [`Error::NotPermitted`] without it. The kernel's module `ip_vs` has to be loaded (`modprobe ip_vs`): this library
//! does not start other programs, and reports [`Error::NotLoaded`].
//!
//! A [`Client`] speaks to the IPVS of the network namespace that its thread is in when it connects, and the thread has to
//! stay there. It does not wait for anything but the kernel, which answers at once, so there is no async version.
//!
//! Tested on Linux 6.1, 6.12 and 7.2.
//!
//! # Versions
//!
//! Rust 1.91 is the oldest compiler. A newer one may be needed by a new minor version, not by a patch.
//!
//! Versions are those of [Semantic Versioning](https://semver.org/spec/v2.0.0.html). While this is 0.x, a new minor version
//! may break what is public, and the changelog says how.
//!
//! What grows with IPVS is `#[non_exhaustive]`: structures such as [`Service`], [`Destination`] and [`Daemon`] are made by
//! their functions, and then changed by their fields or methods; enumerations such as [`Tunnel`] and [`Error`] are matched
//! with a `_`. What is complete is not, so that the compiler finds what is not looked after: [`Change`], which has all commands
//! of IPVS, [`ServiceKey`], [`Forwarding`], [`Protocol`], [`Family`].
//!
//! What is hidden from this documentation is there for the tests of this library and can change at any time.

// What comes from outside is never trusted to be right. In tests a panic is an answer.
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]

pub mod connections;
pub mod estimation;
pub mod hash_tables;
mod kernel;
pub mod mapping;
mod model;
pub mod plan;
pub mod transaction;

#[doc(hidden)]
pub use kernel::decode;
pub use kernel::{Asked, Batch, Client, Errno, Error, Refusal, Step};
pub use model::{
    BadKey, BadName, Change, Checksum, Counters, Daemon, DaemonRole, Destination, DestinationEntry, DestinationKey,
    Detail, Family, Forwarding, IncomingBytes, Info, InterfaceName, Limits, Name, Netmask, PartialTable, Persistence,
    Protocol, Rates, RemovalLimit, SchedulerName, Service, ServiceEntry, ServiceFlags, ServiceKey, Statistics, Table,
    TableService, Timeouts, Tunnel, scheduler,
};
#[doc(hidden)]
pub use netlink_exchange as netlink;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
