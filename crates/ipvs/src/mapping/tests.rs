use std::net::IpAddr;

use super::*;
use crate::model::{Destination, DestinationEntry, SchedulerName, Service, ServiceFlags, ServiceKey, scheduler};

fn member(last: u8, weight: u32) -> Member {
    Member::of(&Destination::direct([10, 0, 0, last], 80).weight(weight))
}

fn web(scheduler: SchedulerName) -> Service {
    Service::tcp([192, 0, 2, 1], 80, scheduler)
}

const VIP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

fn counts(mapping: &Mapping, members: &[Member]) -> Vec<usize> {
    members.iter().map(|member| mapping.slots().filter(|slot| slot.server == member.server).count()).collect()
}

#[test]
fn slots_follow_weights() {
    let members = [member(1, 3), member(2, 1), member(3, 0)];
    let source = Mapping::new(&web(scheduler::SH), &members, &Kernel::DEFAULT).unwrap();
    // Rounds of 3, 1 and 1 in 256 slots, of which the last is cut.
    assert_eq!(counts(&source, &members), [154, 51, 51]);
    let destination = Mapping::new(&web(scheduler::DH), &members, &Kernel::DEFAULT).unwrap();
    assert_eq!(counts(&destination, &members), [86, 85, 85]);
    let members = [member(1, 3), member(2, 1), member(3, 0).last_weight(0)];
    let maglev = Mapping::new(&web(scheduler::MH), &members, &Kernel::DEFAULT).unwrap();
    assert_eq!(counts(&maglev, &members), [3070, 1023, 0]);
}

#[test]
fn heavy_servers_leave_others_without_a_slot() {
    let members = [member(1, 300), member(2, 1)];
    let source = Mapping::new(&web(scheduler::SH), &members, &Kernel::DEFAULT).unwrap();
    assert_eq!(counts(&source, &members), [256, 0]);
}

#[test]
fn what_is_not_known() {
    let new = |scheduler, members: &[Member], kernel| Mapping::new(&web(scheduler), members, kernel).map(|_| ());
    let zero = member(2, 0);
    let drained = [member(1, 1), zero];
    assert_eq!(new(scheduler::MH, &drained, &Kernel::DEFAULT), Err(Unknown::LastWeight(zero.server)));
    assert_eq!(new(scheduler::SH, &drained, &Kernel::DEFAULT), Ok(()));
    let refusing = Mapping::new(&web(scheduler::MH), &[zero], &Kernel::DEFAULT).unwrap();
    assert_eq!(refusing.choice([10, 1, 1, 1].into(), None, VIP), Ok(None));
    assert_eq!(refusing.digest(), Err(Unknown::LastWeight(zero.server)));
    assert_eq!(new(scheduler::RR, &drained, &Kernel::DEFAULT), Err(Unknown::Scheduler(scheduler::RR)));
    let other = Kernel { architecture: Architecture::Other, ..Kernel::DEFAULT };
    assert_eq!(new(scheduler::SH, &drained, &other), Err(Unknown::Architecture));
    let with_port = web(scheduler::SH).flags(ServiceFlags::from_bits(ServiceFlags::SCHEDULER_2));
    let mapping = Mapping::new(&with_port, &[member(1, 1)], &Kernel::DEFAULT).unwrap();
    assert_eq!(mapping.choice([10, 1, 1, 1].into(), None, VIP), Err(Unknown::ClientPort));
    assert_eq!(mapping.choice([10, 1, 1, 1].into(), Some(20), VIP), Err(Unknown::FtpData));
    let many: Vec<Member> = (0..300).map(|port| Member::of(&Destination::direct([10, 0, 0, 1], port))).collect();
    let small = Kernel { mh_index: 8, ..Kernel::DEFAULT };
    assert_eq!(new(scheduler::MH, &many, &small), Err(Unknown::TooManyServers));
}

#[test]
fn a_server_between_its_thresholds_is_not_known() {
    let overloaded = |upper, lower, connections| {
        let mut entry = DestinationEntry::new(Destination::direct([10, 0, 0, 1], 80).thresholds(upper, lower), ());
        entry.active_connections = connections;
        Member::reported(&entry).overloaded
    };
    assert_eq!(overloaded(0, 0, 1000), Some(false));
    assert_eq!([10, 9, 3, 2].map(|connections| overloaded(10, 3, connections)), [Some(true), None, None, Some(false)]);
    assert_eq!([8, 7, 6, 5].map(|connections| overloaded(8, 0, connections)), [Some(true), None, None, Some(false)]);
    let busy = Member { overloaded: None, ..member(1, 1) };
    let mapping = Mapping::new(&web(scheduler::SH), &[busy], &Kernel::DEFAULT).unwrap();
    assert_eq!(mapping.choice([10, 1, 1, 1].into(), None, VIP), Err(Unknown::Thresholds(busy.server)));
}

#[test]
fn without_fallback_clients_of_a_server_with_weight_0_are_refused() {
    let members = [member(1, 1), member(2, 0)];
    let fallback = ServiceFlags::from_bits(ServiceFlags::SCHEDULER_1);
    let plain = Mapping::new(&web(scheduler::SH), &members, &Kernel::DEFAULT).unwrap();
    let spared = Mapping::new(&web(scheduler::SH).flags(fallback), &members, &Kernel::DEFAULT).unwrap();
    let clients = (0..=255).map(|last| IpAddr::from([10, 1, 1, last]));
    let choices: Vec<_> = clients
        .map(|client| [&plain, &spared].map(|mapping| mapping.choice(client, None, VIP).unwrap().is_some()))
        .collect();
    let refused = choices.iter().filter(|[plain, _]| !plain).count();
    assert!((64..192).contains(&refused), "{refused}");
    assert!(choices.iter().all(|[_, spared]| *spared));
    let none = Mapping::new(&web(scheduler::SH).flags(fallback), &[member(1, 0)], &Kernel::DEFAULT).unwrap();
    assert_eq!(none.choice([10, 1, 1, 1].into(), None, VIP), Ok(None));
    let empty = Mapping::new(&web(scheduler::MH), &[], &Kernel::DEFAULT).unwrap();
    assert_eq!(empty.choice([10, 1, 1, 1].into(), None, VIP), Ok(None));
}

#[test]
fn digests_differ_by_order_weight_0_flags_and_size() {
    let digest = |service: Service, members: &[Member], kernel| {
        Mapping::new(&service, members, kernel).unwrap().digest().unwrap().to_string()
    };
    let (one, two) = (member(1, 1), member(2, 1));
    let plain = digest(web(scheduler::SH), &[one, two], &Kernel::DEFAULT);
    assert!(plain.starts_with("sh-256-64le-"), "{plain}");
    assert_eq!(plain, digest(web(scheduler::SH), &[one, two], &Kernel::DEFAULT));
    let elsewhere = Service { key: ServiceKey::udp([192, 0, 2, 9], 53), ..web(scheduler::SH) };
    assert_eq!(plain, digest(elsewhere, &[one, two], &Kernel::DEFAULT));
    let fallback = ServiceFlags::from_bits(ServiceFlags::SCHEDULER_1);
    let larger = Kernel { sh_bits: 9, ..Kernel::DEFAULT };
    for other in [
        digest(web(scheduler::SH), &[two, one], &Kernel::DEFAULT),
        digest(web(scheduler::SH), &[one, member(2, 0)], &Kernel::DEFAULT),
        digest(web(scheduler::SH).flags(fallback), &[one, two], &Kernel::DEFAULT),
        digest(web(scheduler::SH), &[one, two], &larger),
        digest(web(scheduler::DH), &[one, two], &Kernel::DEFAULT),
    ] {
        assert_ne!(plain, other);
    }
    let busy = Member { overloaded: None, ..one };
    assert_eq!(plain, digest(web(scheduler::SH), &[busy, two], &Kernel::DEFAULT));
}

/// Of servers with weight 1 only the drained one's clients move, of others more.
#[test]
fn what_a_drain_costs() {
    let fallback = |scheduler| web(scheduler).flags(ServiceFlags::from_bits(ServiceFlags::SCHEDULER_1));
    let loss = |before: Service, after: Service, weights: [u32; 4]| {
        let members: Vec<Member> = (1..).zip(weights).map(|(last, weight)| member(last, weight)).collect();
        let mut drained = members.clone();
        drained[3] = Member { weight: 0, ..drained[3] };
        let new = |service, members: &[Member]| Mapping::new(&service, members, &Kernel::DEFAULT).unwrap();
        new(before, &members).loss(&new(after, &drained), &[members[3].server])
    };
    let (sh, mh, dh) = (web(scheduler::SH), web(scheduler::MH), web(scheduler::DH));
    assert_eq!(loss(sh, sh, [1; 4]), Loss { slots: 256, refused: 64, moved: 0 });
    assert_eq!(loss(sh, fallback(scheduler::SH), [1; 4]), Loss { slots: 256, refused: 0, moved: 0 });
    assert!(loss(sh, fallback(scheduler::SH), [2; 4]).moved > 100);
    assert_eq!(loss(sh, fallback(scheduler::SH), [2; 4]).refused, 0);
    let of_mh = loss(mh, mh, [1; 4]);
    assert!((1000..1050).contains(&of_mh.refused) && of_mh.moved == 0, "{of_mh:?}");
    assert_eq!(loss(mh, fallback(scheduler::MH), [5, 1, 1, 9]), Loss { slots: 4093, refused: 0, moved: 0 });
    assert_eq!(loss(dh, dh, [7; 4]), Loss { slots: 256, refused: 64, moved: 0 });
    assert_eq!(loss(fallback(scheduler::SH), fallback(scheduler::SH), [0, 0, 0, 1]).refused, 256);
}

#[test]
fn who_is_refused() {
    let server = |last: u8, weight| Destination::direct([10, 0, 0, last], 80).weight(weight);
    let servers = [server(1, 0), server(2, 1), server(3, 0)];
    let keys = |service: Service, servers: &[Destination]| refusing(&service, servers.iter()).len();
    for (scheduler, without, with) in
        [(scheduler::SH, 2, 0), (scheduler::MH, 2, 0), (scheduler::DH, 2, 2), (scheduler::WLC, 0, 0)]
    {
        let fallback = web(scheduler).flags(ServiceFlags::from_bits(ServiceFlags::SCHEDULER_1));
        assert_eq!((keys(web(scheduler), &servers), keys(fallback, &servers)), (without, with), "{scheduler}");
    }
    // A service that is out of service refuses by intent.
    assert_eq!(keys(web(scheduler::SH), &[server(1, 0)]), 0);
}

/// What a drain costs is counted by slots, what a client gets is computed by itself: both find the same server.
#[test]
fn clients_of_a_slot_get_its_server() {
    let fallback = ServiceFlags::from_bits(ServiceFlags::SCHEDULER_1);
    for (scheduler, flags) in [(scheduler::SH, fallback), (scheduler::SH, ServiceFlags::default())] {
        let members = [member(4, 2), member(3, 0), member(2, 2), member(1, 0), member(5, 7)];
        let mapping = Mapping::new(&web(scheduler).flags(flags), &members, &Kernel::DEFAULT).unwrap();
        for number in 0..2000_u32 {
            let client = IpAddr::V4(number.wrapping_mul(0x9e37_79b9).into());
            let slot = mapping.slot_of(client, None, VIP).unwrap();
            assert_eq!(mapping.of_slot(slot), mapping.choice(client, None, VIP).unwrap(), "{client}");
        }
    }
}
