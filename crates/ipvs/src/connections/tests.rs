use super::*;

const HEADER: &str = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Origin Expires\n";
const ENGINE_HEADER: &str = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n";

const USUAL: &str = "TCP 0A010101 D4FC 0A010102 0050 7F000001 1F90 TIME_WAIT   LOCAL      119\n";

fn connections(lines: &str) -> (Vec<Connection>, Skipped) {
    let mut all = Vec::new();
    let source = format!("{HEADER}{lines}");
    let skipped = read(source.as_bytes(), |connection| {
        all.push(*connection);
        Ok(())
    });
    (all, skipped.unwrap())
}

fn one(line: &str) -> Connection {
    let (all, skipped) = connections(line);
    assert_eq!((all.len(), skipped.lines), (1, 0), "{line}");
    all[0]
}

#[test]
fn lines_of_both_families_and_any_protocol() {
    let tcp = one(USUAL);
    assert_eq!((tcp.protocol.as_bytes(), tcp.state.as_bytes()), (&b"TCP"[..], &b"TIME_WAIT"[..]));
    assert_eq!(tcp.source, ([10, 1, 1, 1].into(), 54524));
    assert_eq!(tcp.virtual_address, ([10, 1, 1, 2].into(), 80));
    assert_eq!(tcp.destination, ([127, 0, 0, 1].into(), 8080));
    assert_eq!((tcp.origin, tcp.expires), (Origin::Local, 119));
    let ipv6 = one("IP  2001:0db8:0000:0000:0000:0000:0000:0001 E24F 2001:0db8:0000:0000:0000:0000:0000:0001 0050 \
         0000:0000:0000:0000:0000:0000:0000:0001 1F90 CLOSE       SYNC         9\n");
    assert_eq!((ipv6.protocol.as_bytes(), ipv6.origin), (&b"IP"[..], Origin::Sync));
    assert_eq!(ipv6.destination.0, "::1".parse::<IpAddr>().unwrap());
    // An IPv4 service with IPv6 servers, by a tunnel.
    let mixed = one(
        "TCP 0A010101 D4FC 0A010102 0050 0000:0000:0000:0000:0000:0000:0000:0001 1F90 SHUTDOWN_ACK_SENT LOCAL  2678399\n",
    );
    assert_eq!((mixed.expires, mixed.state.as_bytes()), (2_678_399, &b"SHUTDOWN_ACK_SENT"[..]));
}

#[test]
fn columns_and_words_read_alike() {
    for line in [
        USUAL,
        "UDP 00000000 0000 FFFFFFFF FFFF 7F000001 0001 UDP         SYNC   9999999\n",
        "IP  0A010101 D4FC 0A010102 0050 7F000001 1f90 NONE        LOCAL        0\n",
        "SCT FFFFFFFF FFFF FFFFFFFF FFFF FFFFFFFF FFFF ESTABLISHED SYNC         5\n",
    ] {
        let usual = line::usual(line.as_bytes().first_chunk().unwrap()).unwrap();
        assert_eq!(usual.connection(), line::connection(line.trim_end().as_bytes()).unwrap());
    }
    for line in [
        "TCP 0A010101 D4FC 0A010102 0050 7F000001 1F90 TIME WAIT   LOCAL      119\n",
        "TCP 0A01010  D4FC 0A010102 0050 7F000001 1F90 TIME_WAIT   LOCAL      119\n",
        "TCP 0A010101 D4FC 0A010102 0050 7F000001 1F90 TIME_WAIT   LOCAL     1 19\n",
        "TCP 0A010101 D4FC 0A010102 0050 7F000001 1F90 TIME_WAIT   LOCAL     119 \n",
        "TCP 0A010101 D4FC 0A010102 0050 7F000001 1F90 TIME_WAIT   LOCAL         \n",
        "TCP 0A010101 D4FC 0A010102 0050 7F000001 1F90 TIME_WAIT   HERE       119\n",
        "TCP 0A010101 D4FC 0A010102 0050 7F000001 1F90 TIME\x1bWAIT   LOCAL      119\n",
        "T\x1bP 0A010101 D4FC 0A010102 0050 7F000001 1F90 TIME_WAIT   LOCAL      119\n",
    ] {
        assert!(line::usual(line.as_bytes().first_chunk().unwrap()).is_none(), "{line}");
    }
}

/// Lines are looked at in buffers; where one ends has nothing to do with where a line does.
#[test]
fn lines_that_span_buffers() {
    let odd = "TCP 0A010101 D4FC 0A010102 0050 7F000001 1F90 TIME_WAIT LOCAL 3\n";
    let source = format!("{HEADER}{USUAL}{odd}\n{USUAL}rubbish\n{USUAL}{}", USUAL.trim_end());
    let (expected, skipped) = connections(&format!("{USUAL}{odd}\n{USUAL}rubbish\n{USUAL}{USUAL}"));
    assert_eq!((expected.len(), skipped), (5, Skipped { lines: 1, first: 6, of: 7 }));
    for size in 1..200 {
        let mut all = Vec::new();
        let again = read(BufReader::with_capacity(size, source.as_bytes()), |connection| {
            all.push(*connection);
            Ok(())
        });
        assert_eq!((all, again.unwrap()), (expected.clone(), skipped), "{size}");
    }
}

#[test]
fn what_is_not_a_connection_is_skipped_and_counted() {
    for line in [
        "TCP 0A0101ZZ D4FC 0A010102 0050 7F000001 1F90 TIME_WAIT LOCAL 119\n",
        "TCP 0A010101 D4FC 0A010102 0050 7F000001 1F90 TIME_WAIT LOCAL soon\n",
        "TCP 0A010101 D4FC 0A010102 0050 7F000001 1F90 TIME_WAIT LOCAL 99999999999\n",
        "TCP 0A010101 D4FC 0A010102 0050 7F000001 1F90 TIME_WAIT 119\n",
        "TCP 0A010101 D4FC 0A010102 0050 7F000001 1F90 TIME_WAIT LOCAL 119 more\n",
        "TCP 0A010101 D4FC 0A010102\n",
        "TC\u{9b}P 0A010101 D4FC 0A010102 0050 7F000001 1F90 TIME_WAIT LOCAL 119\n",
        " \n",
    ] {
        let (all, skipped) = connections(&format!("{USUAL}{line}{USUAL}"));
        assert_eq!((all.len(), skipped), (2, Skipped { lines: 1, first: 3, of: 3 }), "{line}");
    }
    let message = |lines| Skipped { lines, first: 3, of: 5 }.message(PATH).map(|message| message.to_string());
    assert_eq!(message(0), None);
    assert_eq!(message(1).unwrap(), format!("{PATH}: skipped line 3, which is not a connection"));
    assert_eq!(message(3).unwrap(), format!("{PATH}: skipped 3 lines that are not connections; the first is line 3"));
}

fn engine_line(protocol: &str, client: u32, data: &str) -> String {
    format!("{protocol:<3} {client:08X} 0000 0A010102 13C4 7F000001 13C4 NONE            300{data}\n")
}

fn template(client: u32) -> Connection {
    one(&format!("UDP {client:08X} 0000 0A010102 13C4 7F000001 13C4 NONE        LOCAL      300\n"))
}

fn engines(lines: &str) -> EngineTable {
    let text = format!("{ENGINE_HEADER}{lines}");
    EngineTable::read(|| Ok(text.as_bytes())).unwrap()
}

fn data(table: &EngineTable, client: u32) -> Option<(&[u8], &[u8])> {
    table.of(&template(client)).map(|engine| (engine.name.as_bytes(), &engine.data[..]))
}

#[test]
fn engine_data_belongs_to_its_connection() {
    let long = "x".repeat(100_000);
    let lines = [
        engine_line("UDP", 1, " sip one\x1b[2J \u{9b} two "),
        engine_line("UDP", 2, ""),
        engine_line("UDP", 3, &format!(" sip {long}")),
        engine_line("TCP", 4, " sip of TCP"),
        engine_line("UDP", 5, " sip "),
    ];
    let table = engines(&lines.concat());
    assert_eq!(data(&table, 1), Some((&b"sip"[..], "one\x1b[2J \u{9b} two ".as_bytes())));
    assert_eq!(data(&table, 2), None);
    assert_eq!(data(&table, 3), Some((&b"sip"[..], long.as_bytes())));
    assert_eq!(data(&table, 4), None);
    assert_eq!(data(&table, 5), Some((&b"sip"[..], &b""[..])));
    assert_eq!(table.skipped(), Skipped::default());
}

#[test]
fn engine_data_of_a_connection_that_occurs_twice_is_left_out() {
    let (first, second) = (engine_line("UDP", 1, " sip one"), engine_line("UDP", 1, " sip two"));
    let without = engine_line("UDP", 1, "");
    // As a stranger may write it, with blanks of its own.
    let odd = without.replace("NONE   ", "NONE ");
    let other = engine_line("UDP", 2, " sip other");
    for lines in [
        [&first, &second, &other],
        [&first, &first, &other],
        [&first, &without, &other],
        [&without, &first, &other],
        [&odd, &first, &other],
    ] {
        let table = engines(&lines.map(String::as_str).concat());
        assert_eq!(data(&table, 1), None, "{lines:?}");
        assert_eq!(data(&table, 2), Some((&b"sip"[..], &b"other"[..])));
    }
}

#[test]
fn engine_data_with_newlines_is_cut_and_the_rest_is_skipped() {
    let table = engines(&engine_line("UDP", 1, " sip one\nrubbish\n\nmore \u{1b}"));
    assert_eq!(data(&table, 1), Some((&b"sip"[..], &b"one"[..])));
    assert_eq!(table.skipped(), Skipped { lines: 2, first: 3, of: 0 });
    assert_eq!(engines("").of(&template(1)), None);
}

#[test]
fn a_list_that_fails_is_named() {
    struct Failing;
    impl io::Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("lost"))
        }
    }
    let error = read(BufReader::new(Failing), |_| Ok(())).unwrap_err();
    assert_eq!(error.to_string(), format!("{PATH}: lost"));
    let error = EngineTable::read(|| Ok(BufReader::new(Failing))).unwrap_err();
    assert_eq!(error.to_string(), format!("{ENGINE_PATH}: lost"));
}

#[test]
fn a_template_of_a_mark_has_the_mark_for_an_address() {
    let address = |family| template_address(&ServiceKey::mark(0x102, family));
    assert_eq!(address(Family::Ipv4), IpAddr::from([0, 0, 1, 2]));
    assert_eq!(address(Family::Ipv6), "0:102::".parse::<IpAddr>().unwrap());
    assert_eq!(template_address(&ServiceKey::tcp([192, 0, 2, 1], 80)), IpAddr::from([192, 0, 2, 1]));
}
