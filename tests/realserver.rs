//! Real servers on a real kernel: rtnetlink there and back, and `realserver` in any order, stopped at any point. Each trial
//! has a network namespace of its own.

mod support;

use std::net::IpAddr;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use ipvsadm_rs::host::route::{Address, AddressFlags, Client, Prefix, Route, RouteKind, RouteQuery, Scope};
use libtest_mimic::{Failed, Trial};
use nix::errno::Errno;

use support::in_fresh_namespace;

/// What a trial does.
type Run = fn() -> Result<()>;

fn main() -> ExitCode {
    let guest = support::Guest { divisible: true, ..support::Guest::default() };
    support::run_in_kernel(guest, || {
        let trials: [(&str, Run); _] =
            [("route: addresses and routes there and back", addresses_and_routes_there_and_back)];
        let trial = |(name, run): (&str, Run)| {
            Trial::test(name, move || run().map_err(|error| Failed::from(format!("{error:#}"))))
        };
        Ok(trials.into_iter().map(trial).collect())
    })
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn addresses_and_routes_there_and_back() -> Result<()> {
    in_fresh_namespace(|| {
        let mut client = Client::connect()?;
        let lo = client.links()?.into_iter().find(|link| link.name == "lo").context("no lo")?;
        ensure!(lo.flags.is_up() && lo.flags.is_loopback(), "{lo:?}");
        let before = (client.addresses()?, client.routes()?);
        for (text, label, flags) in [("192.0.2.1", Some("lo:0"), 0), ("2001:db8::1", None, AddressFlags::NO_DAD)] {
            let mut address = Address::host(lo.index, ip(text));
            address.label = label.map(str::to_owned);
            address.flags = AddressFlags(flags);
            client.add_address(&address)?;
            ensure!(client.add_address(&address).is_err_and(|error| error.errno() == Some(Errno::EEXIST)));
            let found = client.addresses()?.into_iter().find(|found| found.address == ip(text)).context("not there")?;
            ensure!(found.label.as_deref() == label && found.prefix == address.prefix, "{found:?}");
            ensure!(found.scope == Scope::Universe && found.flags.is_permanent(), "{found:?}");
            ensure!(found.valid.is_none() && found.preferred.is_none(), "{found:?}");
            let way = client.route_to(&RouteQuery::to(ip(text)))?;
            ensure!(way.kind == RouteKind::Local && way.output == Some(lo.index), "{way:?}");
            // In a table whose number needs more than the header.
            for table in [Route::MAIN, 1000] {
                let route = Route { table, ..Route::on_link(Prefix::host(ip(text)), lo.index) };
                client.add_route(&route)?;
                let found = client.routes()?;
                let found = found
                    .iter()
                    .find(|found| {
                        // With an IPv6 address the kernel has set a route in main itself.
                        (found.destination, found.table, found.protocol) == (route.destination, table, route.protocol)
                    })
                    .context("no such route")?;
                ensure!(found.output == Some(lo.index) && found.kind == RouteKind::Unicast, "{found:?}");
                client.delete_route(&route)?;
                ensure!(client.delete_route(&route).is_err_and(|error| error.errno() == Some(Errno::ESRCH)));
            }
            client.delete_address(&address)?;
            ensure!(client.delete_address(&address).is_err_and(|error| error.errno() == Some(Errno::EADDRNOTAVAIL)));
        }
        ensure!((client.addresses()?, client.routes()?) == before, "something is left");
        let rules = client.rules()?;
        ensure!(rules.iter().any(|rule| rule.table == Route::LOCAL && rule.priority == 0), "{rules:?}");
        let error = client.add_address(&Address::host(4711, ip("192.0.2.1"))).err().context("added to no interface")?;
        ensure!(error.errno() == Some(Errno::ENODEV), "{error}");
        ensure!(error.to_string().starts_with("cannot add the address 192.0.2.1/32: No such device"), "{error}");
        Ok(())
    })
}
