//! What is on the screen, by a terminal of ratatui's own.

use std::time::Duration;

use ipvs_client::{
    Change, Counters, Destination, DestinationEntry, Protocol, Service, ServiceEntry, ServiceKey, Statistics, Table,
    TableService,
    connections::{self, Word},
    scheduler,
};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::top::{Action, Key, Tally};
use crate::view::top::lines;
use ipvs_client::estimation::Stopped;

fn key(port: u16) -> ServiceKey {
    ServiceKey::Address { protocol: Protocol::Tcp, address: [20, 20, 20, 20].into(), port }
}

fn statistics(connections: u64, bytes: u64) -> Statistics {
    let counters = Counters { connections, incoming_bytes: bytes, ..Counters::default() };
    Statistics::new(counters, ipvs_client::Rates::default())
}

fn server(last: u8, weight: u32, active: u32, connections: u64) -> DestinationEntry {
    let destination = Destination::direct([10, 0, 0, last], 80).weight(weight);
    let mut entry = DestinationEntry::new(destination, statistics(connections, connections * 1000));
    (entry.active_connections, entry.inactive_connections) = (active, 2 * active);
    entry
}

fn service(port: u16, destinations: Vec<DestinationEntry>) -> TableService {
    let service = Service::new(key(port), scheduler::WRR);
    let sum: u64 = destinations.iter().map(|entry| entry.statistics.counters.connections).sum();
    TableService { entry: ServiceEntry::new(service, statistics(sum, sum * 1000)), destinations }
}

/// Two services, after this many seconds with 10 and 40 connections per second, and 5 to the other service.
fn table(seconds: u64) -> Table {
    Table {
        services: vec![
            service(80, vec![server(1, 1, 3, 10 * seconds), server(2, 0, 9, 40 * seconds)]),
            service(443, vec![server(3, 2, 1, 5 * seconds)]),
        ],
    }
}

/// A view after two readings.
fn app() -> App {
    let mut app = App::new(2, true);
    app.read(table(0), Duration::ZERO);
    app.read(table(2), Duration::from_secs(2));
    app
}

fn screen_of(app: &App, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| render(frame, app)).unwrap();
    let buffer = terminal.backend().buffer();
    let row = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..height).map(|y| row(y).trim_end().to_owned()).collect()
}

fn screen(app: &App) -> Vec<String> {
    screen_of(app, 80, 24)
}

fn press(app: &mut App, keys: &str) -> Vec<Action> {
    let key = |letter| match letter {
        '\n' => Key::Enter,
        '\x1b' => Key::Escape,
        letter => Key::Char(letter),
    };
    keys.chars().flat_map(|letter| app.key(key(letter))).collect()
}

/// The first words of the table's rows.
fn names(app: &App) -> Vec<String> {
    app.rows().iter().map(|row| row.name()).collect()
}

#[test]
fn services_servers_and_rates_at_80_by_24() {
    let screen = screen(&app());
    assert_eq!(screen[0], " ipvsadm-rs top   every 2 seconds   2 services, 3 servers");
    assert!(screen[1].starts_with(" Connections/s      55"), "{}", screen[1]);
    assert!(screen[1].ends_with('█'), "{}", screen[1]);
    assert!(screen[2].starts_with(" Bytes in/s      55000"), "{}", screen[2]);
    assert_eq!(screen[4], " Now: 13 active, 26 inactive, 0 persistent");
    assert_eq!(
        screen[5..12],
        [
            "Service, server        Weight Active  InAct Conn/s In p/s Out p/s In B/s Out B/s",
            "TCP 20.20.20.20:80 wrr      1     12     24     50      0       0  50000       0",
            "  10.0.0.1:80               1      3      6     10      0       0  10000       0",
            "  10.0.0.2:80               0      9     18     40      0       0  40000       0",
            "TCP 20.20.20.20:443         2      1      2    5.0      0       0   5000       0",
            "  10.0.0.3:80               2      1      2    5.0      0       0   5000       0",
            "",
        ]
    );
    assert!(screen[23].starts_with(" ? help"), "{}", screen[23]);
}

#[test]
fn a_wide_terminal_has_more_columns() {
    let screen = screen_of(&app(), 110, 24);
    assert!(screen[5].contains("Forward Weight Active  InAct Persis Conn/s"), "{}", screen[5]);
    assert!(
        screen[7].contains("10.0.0.1:80") && screen[7].contains("  Route      1      3      6      0     10"),
        "{}",
        screen[7]
    );
}

#[test]
fn columns_adapt_to_every_width() {
    let mut app = app();
    for (width, columns) in [
        (80, "Weight Active  InAct Conn/s In p/s"),
        (119, "Forward Weight Active  InAct Persis Conn/s In p/s"),
        (120, "Forward Weight  UpThr Active  InAct Persis Conn/s In p/s"),
        (149, "Forward Weight  UpThr Active  InAct Persis Conn/s In p/s"),
        (150, "Forward Weight  UpThr Active  InAct Persis Conn/s  Conns In p/s"),
        (200, "Forward Weight  UpThr Active  InAct Persis Conn/s  Conns In p/s"),
    ] {
        let screen = screen_of(&app, width, 24);
        assert!(screen[5].contains(columns), "{width}: {}", screen[5]);
        // Every line ends where the titles end.
        assert!(screen[5..10].iter().all(|line| line.chars().count() == usize::from(width)), "{width}: {screen:#?}");
    }
    press(&mut app, "t");
    assert!(screen_of(&app, 150, 24)[5].contains(" Conns Conn/s InPkts"), "{}", screen_of(&app, 150, 24)[5]);
}

#[test]
fn colours_say_what_is_the_matter() {
    let mut reading = table(2);
    // At its threshold, and without traffic.
    reading.services[0].destinations[0].destination.upper_threshold = 9;
    reading.services[1].destinations[0].statistics = statistics(0, 0);
    for colored in [true, false] {
        let mut app = App::new(2, colored);
        app.read(table(0), Duration::ZERO);
        app.read(Table { services: reading.services.clone() }, Duration::from_secs(2));
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal.draw(|frame| render(frame, &app)).unwrap();
        let buffer = terminal.backend().buffer();
        let colors: Vec<Color> = [7, 8, 10].map(|y| buffer[(3, y)].fg).into();
        let expected = if colored { [Color::Red, Color::Yellow, Color::DarkGray] } else { [Color::Reset; 3] };
        assert_eq!(colors, expected);
    }
}

#[test]
fn the_connections_that_are_chosen_are_named() {
    let mut app = app();
    app.chosen_connections = "--state=ESTABLISHED".to_owned();
    press(&mut app, "\n");
    let screen = screen_of(&app, 160, 24);
    assert!(screen.iter().any(|line| line.contains("Connections by state, only --state=ESTABLISHED")), "{screen:#?}");
}

#[test]
fn strings_from_outside_are_safe_to_draw() {
    let mut app = App::new(2, true);
    let mut table = table(1);
    table.services[0].entry.service.scheduler = ipvs_client::SchedulerName::cut("w\u{1b}c\u{202e}".as_bytes());
    app.read(table, Duration::ZERO);
    app.say(crate::top::Message::Failed("a\u{9b}31m\r\nb\u{2067}".to_owned()));
    assert!(screen_of(&app, 120, 24)[6].starts_with(r"TCP 20.20.20.20:80 w\x1bc\xe2\x80\xae "));
    assert_eq!(screen(&app)[23], r" a\xc2\x9b31m\x0d\x0ab\xe2\x81\xa7");
    press(&mut app, "/x\u{202e}\n");
    let screen = screen(&app);
    assert!(screen[0].ends_with(r"only x\xe2\x80\xae"), "{}", screen[0]);
}

#[test]
fn rates_are_not_zero_before_they_are_known() {
    let mut app = App::new(2, true);
    app.read(table(7), Duration::ZERO);
    assert!(screen(&app)[6].contains("24    ...    ..."), "{}", screen(&app)[6]);
}

#[test]
fn a_small_terminal_is_reported() {
    let screen = screen_of(&app(), 60, 10);
    assert_eq!(screen[0], "This terminal is too small: 60x10, and 76x14 are needed. q");
    for (width, height) in [(1, 1), (76, 13), (75, 14), (76, 14), (400, 3)] {
        screen_of(&app(), width, height);
    }
}

#[test]
fn no_estimation_is_said_and_not_shown_as_zero() {
    let mut app = app();
    app.set_stopped(Some(Stopped::SwitchedOff));
    assert_eq!(
        screen(&app)[4],
        " The kernel counts nothing: net.ipv4.vs.run_estimation is 0. Totals stand still."[..80].to_owned()
    );
    assert!(screen(&app)[6].ends_with("24      -      -       -      -       -"), "{}", screen(&app)[6]);
    assert!(lines(&app, 1).starts_with("1 TCP/20.20.20.20:80 - 1 12 24 0 - - - - -\n"), "{}", lines(&app, 1));
    app.set_stopped(None);
    assert!(
        lines(&app, 1).starts_with("1 TCP/20.20.20.20:80 - 1 12 24 0 50.0 0.0 0.0 50000 0\n"),
        "{}",
        lines(&app, 1)
    );
}

#[test]
fn any_column_sorts_services_and_the_servers_in_them() {
    let mut app = app();
    assert_eq!(names(&app)[0], "TCP 20.20.20.20:80");
    press(&mut app, ">");
    assert_eq!(names(&app)[..2], ["TCP 20.20.20.20:443", "10.0.0.3:80"]); // the greater weight
    press(&mut app, ">");
    assert_eq!(names(&app)[..3], ["TCP 20.20.20.20:80", "10.0.0.2:80", "10.0.0.1:80"]); // active
    press(&mut app, "r");
    assert_eq!(names(&app)[0], "TCP 20.20.20.20:443");
    press(&mut app, "<<");
    assert_eq!(names(&app)[..2], ["TCP 20.20.20.20:80", "10.0.0.1:80"]);
    press(&mut app, "<");
    assert_eq!(app.column, Column::OutgoingBytes);
}

#[test]
fn totals_take_the_place_of_rates() {
    let mut app = app();
    press(&mut app, "t");
    let screen = screen(&app);
    assert!(screen[5].ends_with("Conns InPkts OutPkts InByte OutByte"), "{}", screen[5]);
    assert!(screen[6].contains("    100      0       0   100k       0"), "{}", screen[6]);
}

#[test]
fn the_filter_works_as_it_is_typed() {
    let mut app = app();
    press(&mut app, "/0.3");
    assert_eq!(names(&app), ["TCP 20.20.20.20:443", "10.0.0.3:80"]);
    assert!(screen(&app)[23].starts_with(" Only what has in its name: 0.3_"));
    press(&mut app, "\n");
    assert!(screen(&app)[0].ends_with("   only 0.3"));
    press(&mut app, "\x1b");
    assert_eq!(names(&app).len(), 5);
    press(&mut app, "/q");
    assert!(screen(&app)[6].contains("Nothing has this in its name"));
    press(&mut app, "\x1b");
    // A service's own name brings all its servers.
    press(&mut app, "/:80 ");
    assert_eq!(names(&app), ["TCP 20.20.20.20:80", "10.0.0.1:80", "10.0.0.2:80"]);
}

#[test]
fn inside_are_the_service_s_servers_and_its_connections() {
    let mut app = app();
    assert_eq!(press(&mut app, "\n"), [Action::Read]);
    let (service, servers) = app.wants_connections().unwrap();
    assert_eq!((service, servers.len()), (key(80), 2));
    let list = "\nTCP 28282800 0000 14141414 0050 0A000001 0050 NONE        LOCAL        9\n";
    let mut read = None;
    connections::read(list.as_bytes(), |connection| {
        read = Some(*connection);
        Ok(())
    })
    .unwrap();
    let connection = |last: u8, port, state: &[u8]| {
        let mut connection = read.unwrap();
        connection.source = ([40, 40, 40, last].into(), port);
        connection.state = Word::cut(state);
        connection
    };
    let mut tally = Tally::default();
    (1..=12).for_each(|port| tally.add(&connection(10, port, b"ESTABLISHED")));
    (1..=3).for_each(|port| tally.add(&connection(11, port, b"FIN_WAIT")));
    // What persistence remembers has no port, and is not a connection of the client.
    tally.add(&connection(10, 0, b"ESTABLISHED"));
    app.set_connections(Some(tally.finish()));
    let shown = screen(&app);
    assert_eq!(shown[0], " ipvsadm-rs top   inside TCP 20.20.20.20:80");
    assert_eq!(shown[9], " Connections by state            Connections by client");
    assert_eq!(shown[10], " ESTABLISHED                12   40.40.40.10                                12");
    assert_eq!(shown[11], " FIN_WAIT                    3   40.40.40.11                                 3");
    assert_eq!(shown[12], " persistent                  1");
    press(&mut app, "jj\n");
    assert_eq!(app.wants_connections().unwrap().1.len(), 1);
    assert!(screen(&app)[0].ends_with("inside TCP 20.20.20.20:80   10.0.0.2:80"));
    press(&mut app, "\x1b");
    assert_eq!(names(&app).len(), 5);
    // What is looked into may go away.
    press(&mut app, "\n");
    app.read(Table::default(), Duration::from_secs(4));
    assert_eq!(screen(&app)[6], " The table is empty.");
    assert!(screen(&app)[23].contains("TCP 20.20.20.20:80 is gone"));
}

#[test]
fn a_weight_is_only_changed_after_yes() {
    let mut app = app();
    press(&mut app, "w");
    assert!(screen(&app)[23].contains("A service has no weight"));
    press(&mut app, "jw1x7");
    assert!(screen(&app)[23].starts_with(" Weight of 10.0.0.1:80, now 1: 17_"), "{}", screen(&app)[23]);
    press(&mut app, "\n");
    let shown = screen(&app).join("\n");
    assert!(
        shown.contains("Give 10.0.0.1:80 of TCP 20.20.20.20:80 the weight 17 instead of") && shown.contains("y is yes"),
        "{shown}"
    );
    assert_eq!(press(&mut app, "n"), []);
    let server = Destination::new([10, 0, 0, 1].into(), 80).key;
    assert_eq!(press(&mut app, "w17\ny"), [Action::SetWeight(key(80), server, 17)]);
    assert_eq!(press(&mut app, "w4294967295\ny"), []);
}

#[test]
fn a_drain_waits_deletes_and_can_be_stopped() {
    let mut app = app();
    let former = table(0).services[0].destinations[0].destination;
    assert_eq!(press(&mut app, "jdx"), []);
    assert_eq!(press(&mut app, "dy"), [Action::Drain(key(80), former.key)]);
    app.drain_began(key(80), former);
    let mut drained = table(4);
    drained.services[0].destinations[0].destination.weight = 0;
    assert_eq!(app.read(drained.clone(), Duration::from_secs(4)), []);
    let shown = screen(&app);
    assert!(shown[7].contains("10.0.0.1:80           drain"), "{}", shown[7]);
    assert_eq!(shown[23], " Draining 10.0.0.1:80: 3 connections left");
    // Ending would undo it, and so would stopping it.
    assert_eq!(press(&mut app, "q"), []);
    assert_eq!(press(&mut app, "n"), []);
    let back = Change::EditDestination(key(80), former);
    assert_eq!(app.clone().leave(), [back]);
    let mut stopped = app.clone();
    assert_eq!(press(&mut stopped, "dy"), [Action::Change(back)]);
    assert_eq!(stopped.leave(), []);
    drained.services[0].destinations[0].active_connections = 0;
    assert_eq!(app.read(drained.clone(), Duration::from_secs(6)), []);
    let gone = Action::Change(Change::DeleteDestination(key(80), former.key));
    assert_eq!(app.read(drained, Duration::from_secs(8)), [gone]);
    assert!(screen(&app)[23].contains("10.0.0.1:80 is drained and deleted"));
    assert_eq!(press(&mut app, "q"), [Action::Quit]);
}

#[test]
fn a_drain_that_ends_while_it_is_asked_about_is_not_undone() {
    let mut app = app();
    let former = table(0).services[0].destinations[0].destination;
    app.drain_began(key(80), former);
    let mut drained = table(4);
    drained.services[0].destinations[0].destination.weight = 0;
    drained.services[0].destinations[0].active_connections = 0;
    press(&mut app, "jd");
    app.read(drained.clone(), Duration::from_secs(4));
    assert_eq!(app.read(drained, Duration::from_secs(6)).len(), 1, "it is not deleted");
    assert_eq!(press(&mut app, "y"), []);
}

#[test]
fn a_drain_that_somebody_else_disturbs_ends() {
    let mut app = app();
    app.drain_began(key(80), table(0).services[0].destinations[0].destination);
    assert_eq!(app.read(table(4), Duration::from_secs(4)), []);
    assert!(screen(&app)[23].contains("another program has given 10.0.0.1:80 the weight 1"), "{}", screen(&app)[23]);
    assert_eq!(app.leave(), []);
}

#[test]
fn the_selection_stays_with_its_server_and_is_always_seen() {
    let mut app = App::new(1, false);
    let servers = (0..250).map(|last| server(last, 1, u32::from(last), 0)).collect();
    app.read(Table { services: vec![service(80, servers)] }, Duration::ZERO);
    press(&mut app, "G");
    assert!(screen(&app)[22].starts_with("  10.0.0.249:80"), "{}", screen(&app)[22]);
    press(&mut app, ">>");
    let shown = screen(&app);
    assert!(shown[7].starts_with("  10.0.0.249:80"), "{}", shown[7]);
    app.key(Key::PageDown);
    assert!(screen(&app).iter().any(|line| line.starts_with("  10.0.0.239:80")));
    app.key(Key::Home);
    assert!(screen(&app)[6].starts_with("TCP 20.20.20.20:80"));
}

#[test]
fn help_names_every_key() {
    let mut app = app();
    press(&mut app, "?");
    for (width, height) in [(80, 24), MINIMUM] {
        let shown = screen_of(&app, width, height).join("\n");
        for (keys, what) in HELP {
            assert!(shown.contains(keys) && shown.contains(what), "{keys} is not in {shown}");
        }
    }
    press(&mut app, "q");
    assert!(screen(&app)[5].starts_with("Service, server"));
}
