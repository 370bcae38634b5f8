//! The settings of name look-ups: nsswitch.conf(5) has the order of sources, and resolv.conf(5) the name servers.
//! The environment has no part in them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

/// The settings of the name service switch.
const SWITCH: &str = "/etc/nsswitch.conf";
/// The settings of the resolver.
const RESOLVER: &str = "/etc/resolv.conf";
/// This machine's name.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";
/// The port of name servers.
const PORT: u16 = 53;
/// Name servers that are asked (`MAXNS`, resolv.conf(5)).
const SERVERS: usize = 3;
/// Networks that sort addresses (`MAXRESOLVSORT`, resolv.conf(5)).
const NETWORKS: usize = 10;

/// The sources of names, in this order, and what follows from the outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) service: Service,
    /// What to do after each [`Outcome`].
    actions: [Action; 4],
}

/// A source of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Service {
    /// hosts(5)
    Files,
    /// The name servers.
    Dns,
    /// What only the C library can ask: this and all that follows, as in nsswitch.conf(5).
    Library(String),
}

/// What came of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Success,
    NotFound,
    Unavailable,
    TryAgain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Return,
    Continue,
}

impl Source {
    fn new(service: Service) -> Self {
        let actions = [Action::Return, Action::Continue, Action::Continue, Action::Continue];
        Self { service, actions }
    }

    /// Whether no other source is asked after this outcome.
    pub(super) fn is_last_after(&self, outcome: Outcome) -> bool {
        self.actions[outcome as usize] == Action::Return
    }

    /// `[STATUS=ACTION …]`, without the brackets. `None` if it is something else, or an action that only the C library has.
    fn take_actions(&mut self, text: &str) -> Option<()> {
        let text = text.replace('=', " = ");
        let mut words = text.split_ascii_whitespace();
        while let Some(word) = words.next() {
            let (negated, name) = match word.strip_prefix('!') {
                Some("") => (true, words.next()?),
                Some(name) => (true, name),
                None => (false, word),
            };
            let outcome = ["success", "notfound", "unavail", "tryagain"]
                .iter()
                .position(|outcome| outcome.eq_ignore_ascii_case(name))?;
            if words.next() != Some("=") {
                return None;
            }
            let action = match words.next()? {
                word if word.eq_ignore_ascii_case("return") => Action::Return,
                word if word.eq_ignore_ascii_case("continue") => Action::Continue,
                _ => return None,
            };
            for (index, place) in self.actions.iter_mut().enumerate() {
                if (index == outcome) != negated {
                    *place = action;
                }
            }
            // Going on after an answer is for the C library.
            if self.actions[Outcome::Success as usize] != Action::Return {
                return None;
            }
        }
        Some(())
    }
}

/// The sources of host names on this machine.
pub(super) fn sources() -> Vec<Source> {
    match std::fs::read(SWITCH) {
        Ok(text) => sources_of(&String::from_utf8_lossy(&text)),
        Err(_) => sources_of(""),
    }
}

fn sources_of(text: &str) -> Vec<Source> {
    let hosts = |line: &&str| {
        line.split_once(':').is_some_and(|(database, _)| database.trim_ascii().eq_ignore_ascii_case("hosts"))
    };
    let mut lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    // The last line counts; without one the C library's default does.
    let Some(line) = lines.rfind(hosts) else {
        return vec![Source::new(Service::Files), Source::new(Service::Dns)];
    };
    let mut rest = line.split_once(':').map_or("", |(_, sources)| sources.trim_ascii());
    let mut sources: Vec<Source> = Vec::new();
    while !rest.is_empty() {
        let (word, behind) = rest.split_at(rest.find([' ', '\t', '[']).unwrap_or(rest.len()));
        let mut source = match word {
            "files" => Source::new(Service::Files),
            "dns" => Source::new(Service::Dns),
            _ => {
                sources.push(Source::new(Service::Library(rest.to_owned())));
                break;
            }
        };
        let mut behind = behind.trim_ascii_start();
        if let Some(actions) = behind.strip_prefix('[') {
            let taken = actions.split_once(']').and_then(|(actions, behind)| {
                source.take_actions(actions)?;
                Some(behind)
            });
            match taken {
                Some(after) => behind = after.trim_ascii_start(),
                None => source.service = Service::Library(rest.to_owned()),
            }
        }
        let is_library = matches!(source.service, Service::Library(_));
        sources.push(source);
        if is_library {
            break;
        }
        rest = behind;
    }
    sources
}

/// How name servers are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resolver {
    /// At least one.
    pub(super) servers: Vec<SocketAddr>,
    /// Domains in which names are looked for.
    search: Vec<String>,
    /// A name with this number of dots is looked for as it stands first.
    dots: usize,
    /// How long a server is waited for.
    pub(super) timeout: Duration,
    /// How often each server is asked.
    pub(super) attempts: u32,
    /// Whether datagrams are not used.
    pub(super) stream: bool,
    /// Networks and their masks; addresses of the first come first.
    networks: Vec<(Ipv4Addr, Ipv4Addr)>,
}

impl Resolver {
    /// As this machine is set up.
    pub(super) fn of_this_machine() -> Self {
        let text = std::fs::read(RESOLVER).unwrap_or_default();
        let name = std::fs::read_to_string(HOST_NAME).unwrap_or_default();
        Self::parse(&String::from_utf8_lossy(&text), name.trim_ascii())
    }

    fn parse(text: &str, host_name: &str) -> Self {
        let mut resolver = Self {
            servers: Vec::new(),
            search: Vec::new(),
            dots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
            stream: false,
            networks: Vec::new(),
        };
        let mut has_search = false;
        for line in text.lines() {
            // A comment or a blank in front makes it no setting.
            let Some((keyword, values)) = line.split_once([' ', '\t']) else { continue };
            let mut words = values.split_ascii_whitespace();
            match keyword {
                "nameserver" if resolver.servers.len() < SERVERS => {
                    resolver.servers.extend(words.next().and_then(name_server));
                }
                "domain" | "search" if !values.trim_ascii().is_empty() => {
                    has_search = true;
                    let number = if keyword == "domain" { 1 } else { usize::MAX };
                    resolver.search = words.take(number).map(str::to_owned).collect();
                }
                "options" => words.for_each(|option| resolver.take_option(option)),
                "sortlist" => resolver.networks = words.filter_map(network).take(NETWORKS).collect(),
                _ => {}
            }
        }
        if !has_search && let Some((_, domain)) = host_name.split_once('.') {
            resolver.search.push(domain.to_owned());
        }
        if resolver.servers.is_empty() {
            resolver.servers.push((Ipv4Addr::LOCALHOST, PORT).into());
        }
        resolver
    }

    fn take_option(&mut self, option: &str) {
        let (name, value) = option.split_once(':').unwrap_or((option, ""));
        let number = || value.parse::<u32>().unwrap_or(0);
        match name {
            // What may be at most, resolv.conf(5) says.
            "ndots" => self.dots = number().min(15) as usize,
            "timeout" => self.timeout = Duration::from_secs(number().clamp(1, 30).into()),
            "attempts" => self.attempts = number().clamp(1, 5),
            "use-vc" => self.stream = true,
            _ => {}
        }
    }

    /// How long one name may take.
    pub(super) fn limit(&self) -> Duration {
        self.timeout * self.attempts * self.servers.len() as u32
    }

    /// The names to be asked for in place of a name, in this order.
    pub(super) fn candidates(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') {
            return vec![name.to_owned()];
        }
        let in_domain = |domain: &String| match domain.as_str() {
            "." => name.to_owned(),
            domain => format!("{name}.{domain}"),
        };
        let mut names: Vec<String> = self.search.iter().map(in_domain).collect();
        let first = name.bytes().filter(|&byte| byte == b'.').count() >= self.dots;
        names.retain(|candidate| !first || candidate != name);
        if first {
            names.insert(0, name.to_owned());
        } else if !names.iter().any(|candidate| candidate == name) {
            names.push(name.to_owned());
        }
        names
    }

    /// Put addresses in the order that `sortlist` gives them.
    pub(super) fn sort(&self, addresses: &mut [IpAddr]) {
        let place = |address: &IpAddr| match address {
            IpAddr::V4(address) => {
                let is_in = |(network, mask): &(Ipv4Addr, Ipv4Addr)| *address & *mask == *network;
                self.networks.iter().position(is_in).unwrap_or(self.networks.len())
            }
            IpAddr::V6(_) => 0,
        };
        if !self.networks.is_empty() {
            addresses.sort_by_key(place);
        }
    }
}

/// An address, an IPv6 address perhaps with the link that it is on.
fn name_server(text: &str) -> Option<SocketAddr> {
    let (address, link) = text.split_once('%').unwrap_or((text, ""));
    match address.parse().ok()? {
        IpAddr::V4(address) => Some((address, PORT).into()),
        IpAddr::V6(address) => {
            let scope = match link {
                "" => 0,
                link => link.parse().ok().or_else(|| nix::net::if_::if_nametoindex(link).ok())?,
            };
            Some(SocketAddrV6::new(address, PORT, 0, scope).into())
        }
    }
}

/// `NETWORK[/MASK]`. Without a mask the class of the network has one.
fn network(text: &str) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let (network, mask) = text.split_once(['/', '&']).unwrap_or((text, ""));
    let network: Ipv4Addr = network.parse().ok()?;
    let mask = match (mask, network.octets()[0]) {
        ("", 0..128) => Ipv4Addr::new(255, 0, 0, 0),
        ("", 128..192) => Ipv4Addr::new(255, 255, 0, 0),
        ("", _) => Ipv4Addr::new(255, 255, 255, 0),
        (mask, _) => mask.parse().ok()?,
    };
    Some((network, mask))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn services(text: &str) -> Vec<Service> {
        sources_of(text).into_iter().map(|source| source.service).collect()
    }

    #[test]
    fn sources_are_those_of_the_last_line() {
        use Service::{Dns, Files, Library};
        assert_eq!(services(""), [Files, Dns]);
        assert_eq!(services("passwd: files sss\n"), [Files, Dns]);
        assert_eq!(services("hosts: dns files # db\n"), [Dns, Files]);
        assert_eq!(services("hosts: files\n  HOSTS :\tdns"), [Dns]);
        assert_eq!(services("hosts:files[NOTFOUND=return]dns"), [Files, Dns]);
        assert_eq!(services("hosts:"), []);
        assert_eq!(services("#hosts: db\n"), [Files, Dns]);
        let rest = "resolve [!UNAVAIL=return] dns";
        assert_eq!(services(&format!("hosts: files {rest}\n")), [Files, Library(rest.into())]);
        assert_eq!(services("hosts: dns [SUCCESS=merge] files"), [Library("dns [SUCCESS=merge] files".into())]);
        let rest = "files [SUCCESS=continue] dns";
        assert_eq!(services(&format!("hosts: {rest}")), [Library(rest.into())]);
        assert_eq!(services("hosts: files [NOTFOUND"), [Library("files [NOTFOUND".into())]);
        assert_eq!(services("hosts: FILES"), [Library("FILES".into())]);
    }

    #[test]
    fn actions_decide_whether_the_next_is_asked() {
        let last = |text: &str| {
            let source = &sources_of(text)[0];
            [Outcome::Success, Outcome::NotFound, Outcome::Unavailable, Outcome::TryAgain]
                .map(|outcome| source.is_last_after(outcome))
        };
        assert_eq!(last("hosts: files dns"), [true, false, false, false]);
        assert_eq!(last("hosts: files [notfound = Return] dns"), [true, true, false, false]);
        assert_eq!(last("hosts: dns [!UNAVAIL=return] files"), [true, true, false, true]);
        assert_eq!(last("hosts: dns [UNAVAIL=continue TRYAGAIN=return] files"), [true, false, false, true]);
    }

    #[test]
    fn the_resolver_is_set_up_as_the_c_library_s() {
        let resolver = Resolver::parse("", "director");
        assert_eq!(resolver.servers, ["127.0.0.1:53".parse().unwrap()]);
        assert_eq!((resolver.timeout, resolver.attempts, resolver.stream), (Duration::from_secs(5), 2, false));
        assert_eq!(resolver.limit(), Duration::from_secs(10));
        let text = "# a comment\n; another\n nameserver 10.0.0.9\nnameserver 10.0.0.1\nnameserver ::1%3 \n\
                    nameserver x\nnameserver 10.0.0.2\nnameserver 10.0.0.3\ndomain old.example\n\
                    search a.example b.example\noptions timeout:99 attempts:0 ndots:2\noptions use-vc rotate\n";
        let resolver = Resolver::parse(text, "director.example");
        assert_eq!(resolver.servers.len(), 3);
        assert_eq!(resolver.servers[1], "[::1%3]:53".parse().unwrap());
        assert_eq!((resolver.timeout, resolver.attempts, resolver.stream), (Duration::from_secs(30), 1, true));
        assert_eq!(resolver.candidates("x.y"), ["x.y.a.example", "x.y.b.example", "x.y"]);
        assert_eq!(resolver.candidates("x.y.z"), ["x.y.z", "x.y.z.a.example", "x.y.z.b.example"]);
        assert_eq!(resolver.candidates("x."), ["x."]);
        let resolver = Resolver::parse("nameserver 10.0.0.1\n", "director.example");
        assert_eq!(resolver.candidates("x"), ["x.example", "x"]);
        assert_eq!(Resolver::parse("search . a\n", "").candidates("x"), ["x", "x.a"]);
        assert_eq!(Resolver::parse("search \n", "a.b").candidates("x"), ["x.b", "x"]);
    }

    #[test]
    fn networks_sort_addresses() {
        let sorted = |list: &str| {
            let mut addresses: Vec<IpAddr> =
                ["10.0.0.9", "10.0.0.1", "192.168.7.7"].iter().map(|address| address.parse().unwrap()).collect();
            Resolver::parse(list, "").sort(&mut addresses);
            addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(sorted("sortlist 172.16.0.0"), "10.0.0.9 10.0.0.1 192.168.7.7");
        assert_eq!(sorted("sortlist 192.168.7.0"), "192.168.7.7 10.0.0.9 10.0.0.1");
        assert_eq!(sorted("sortlist 192.168.7.0/24 10.0.0.1/255.255.255.255"), "10.0.0.1 10.0.0.9 192.168.7.7");
    }
}
