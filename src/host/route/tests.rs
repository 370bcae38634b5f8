use std::net::IpAddr;

use proptest::collection::vec;
use proptest::prelude::*;

use super::decode;
use super::*;
use netlink_exchange::fake::{self, Reply};
use netlink_exchange::wire::MESSAGE_HEADER;
use netlink_exchange::{Connection, Errno, Writer, flag};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The payload of a message.
fn payload<const N: usize>(header: [u8; N], attributes: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::default();
    let mark = writer.begin_with(0, 0, 0, header);
    attributes(&mut writer);
    writer.end(mark);
    writer.as_bytes()[MESSAGE_HEADER..].to_vec()
}

#[test]
fn an_address_of_a_link_with_two_ends_is_the_local_one() {
    let bytes = payload([2, 32, 0, 0, 7, 0, 0, 0], |writer| {
        writer.bytes(1, &[192, 0, 2, 1]);
        writer.bytes(2, &[192, 0, 2, 2]);
        writer.string(3, b"lo:0");
        writer.u32(8, 0x280);
    });
    let address = decode::address(&bytes).unwrap().unwrap();
    assert_eq!((address.address, address.peer), (ip("192.0.2.2"), Some(ip("192.0.2.1"))));
    assert_eq!(address.label.as_deref(), Some("lo:0"));
    assert!(address.flags.is_permanent() && address.flags.is_no_prefix_route());
}

#[test]
fn next_hops_are_read_with_their_weights() {
    // Length, flags, weight less one, output; then attributes.
    let hop = |length: u16, weight: u8, output: i32| {
        [&length.to_ne_bytes()[..], &[0, weight - 1], &output.to_ne_bytes()].concat()
    };
    let gateway = [&8u16.to_ne_bytes()[..], &5u16.to_ne_bytes(), &[192, 0, 2, 1]].concat();
    let hops = |length: u16| [hop(length, 3, 3), gateway.clone(), hop(8, 1, 4)].concat();
    let bytes = payload([2, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0], |writer| writer.bytes(9, &hops(16)));
    let route = decode::route(&bytes).unwrap().unwrap();
    assert_eq!(
        route.next_hops,
        [
            NextHop { output: 3, gateway: Some(ip("192.0.2.1")), weight: 3 },
            NextHop { output: 4, gateway: None, weight: 1 },
        ]
    );
    assert_eq!((route.table, route.kind, route.scope), (254, RouteKind::Unicast, Scope::Universe));
    for length in [0, 7, 200] {
        let bytes = payload([2, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0], |writer| writer.bytes(9, &hops(length)));
        assert!(decode::route(&bytes).is_err(), "{length}");
    }
}

#[test]
fn a_prefix_contains_what_begins_like_it() {
    let net = Prefix { address: ip("192.0.2.0"), length: 24 };
    assert!(net.contains(ip("192.0.2.255")) && !net.contains(ip("192.0.3.0")) && !net.contains(ip("::")));
    assert!(Prefix { address: ip("0.0.0.0"), length: 0 }.contains(ip("255.255.255.255")));
    assert!(Prefix::host(ip("::1")).contains(ip("::1")) && !Prefix::host(ip("::1")).contains(ip("::2")));
    let six = Prefix { address: ip("2001:db8::"), length: 32 };
    assert!(six.contains(ip("2001:db8:ffff::1")) && !six.contains(ip("2001:db9::")));
}

#[test]
fn this_machine_s_loopback_is_found() {
    let mut client = Client::connect().unwrap();
    let links = client.links().unwrap();
    let lo = links.iter().find(|link| link.flags.is_loopback()).unwrap();
    assert_eq!((lo.name.as_str(), lo.medium, lo.master), ("lo", 772, None));
    // Other rows depend on the machine; that they can be read is what is asserted.
    client.addresses().unwrap();
    client.routes().unwrap();
    client.neighbours().unwrap();
    client.rules().unwrap();
    let query = RouteQuery { output: Some(u32::MAX), ..RouteQuery::to(ip("127.0.0.1")) };
    assert_eq!(client.route_to(&query).unwrap_err().errno(), Some(Errno::ENODEV));
    // A refusal leaves the socket fit for the next question.
    assert_eq!(client.links().unwrap(), links);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(
        header in vec(any::<u8>(), 0..20),
        family in prop_oneof![Just(0_u8), Just(2), Just(10)],
        attributes in vec((0..20_u16, vec(any::<u8>(), 0..24)), 0..6),
        cut in 0..200_usize,
    ) {
        let mut bytes = payload([], |writer| {
            for (kind, payload) in &attributes {
                writer.bytes(*kind, payload);
            }
        });
        bytes.splice(0..0, header);
        if let Some(first) = bytes.first_mut() {
            *first = family;
        }
        bytes.truncate(cut);
        // That these return at all is the point: nothing outside is trusted to be right.
        let outcomes = [
            decode::link(&bytes).map(|_| ()),
            decode::address(&bytes).map(|_| ()),
            decode::route(&bytes).map(|_| ()),
            decode::neighbour(&bytes).map(|_| ()),
            decode::rule(&bytes).map(|_| ()),
        ];
        for error in outcomes.into_iter().filter_map(Result::err) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}

/// A client of a kernel that answers so.
fn client(reply: Reply) -> Client {
    Client::over(Connection::over(fake::kernel(move |_| vec![vec![reply.clone()]])))
}

#[test]
fn routes_that_keep_changing_are_reported_as_routes() {
    let mut client = client(Reply::done().with(flag::DUMP_INTERRUPTED));
    let error = client.routes().unwrap_err();
    assert_eq!(error.to_string(), "cannot read the routes: another program keeps changing what is read; try again");
}

#[test]
fn a_refused_list_says_which() {
    let error = client(Reply::error(Errno::ENOENT.raw())).rules().unwrap_err();
    assert_eq!(error.to_string(), "cannot read the rules: No such file or directory");
}
