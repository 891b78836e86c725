//! What the zones answer in DNS, read by another library than ours.

use causeway_sandbox::cloudflare::{Options, Zone};
use serde_json::json;
use simple_dns::rdata::{OPT, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::Api;

/// An answer, in words.
#[derive(Debug, PartialEq)]
struct Said {
    code: RCODE,
    authoritative: bool,
    truncated: bool,
    answers: Vec<String>,
    authorities: Vec<String>,
}

fn question(name: &str, kind: QTYPE, payload: Option<u16>) -> Vec<u8> {
    let mut packet = Packet::new_query(7);
    let name = Name::new(name).unwrap().into_owned();
    packet.questions.push(Question::new(name, kind, QCLASS::CLASS(CLASS::IN), false));
    if let Some(udp_packet_size) = payload {
        *packet.opt_mut() = Some(OPT { opt_codes: Vec::new(), udp_packet_size, version: 0 });
    }
    packet.build_bytes_vec().unwrap()
}

fn said(bytes: &[u8]) -> Said {
    let packet = Packet::parse(bytes).unwrap();
    let line = |record: &simple_dns::ResourceRecord| {
        let data = match &record.rdata {
            RData::A(a) => std::net::Ipv4Addr::from(a.address).to_string(),
            RData::AAAA(aaaa) => std::net::Ipv6Addr::from(aaaa.address).to_string(),
            RData::CNAME(name) => name.0.to_string(),
            RData::NS(name) => name.0.to_string(),
            RData::MX(mx) => format!("{} {}", mx.preference, mx.exchange),
            RData::SRV(srv) => format!("{} {} {} {}", srv.priority, srv.weight, srv.port, srv.target),
            RData::SOA(soa) => format!("{} {}", soa.serial, soa.minimum),
            RData::CAA(caa) => format!("{} {:?} {:?}", caa.flag, caa.tag, caa.value),
            RData::TXT(txt) => format!("{:?}", String::try_from(txt.clone()).unwrap()),
            other => format!("{other:?}"),
        };
        format!("{} {} {:?} {data}", record.name, record.ttl, record.rdata.type_code())
    };
    Said {
        code: packet.rcode(),
        authoritative: packet.has_flags(PacketFlag::AUTHORITATIVE_ANSWER),
        truncated: packet.has_flags(PacketFlag::TRUNCATION),
        answers: packet.answers.iter().map(line).collect(),
        authorities: packet.name_servers.iter().map(line).collect(),
    }
}

impl Api {
    async fn udp(&self, question: &[u8]) -> Vec<u8> {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.send_to(question, self.cloudflare.dns()).await.unwrap();
        let mut buffer = vec![0; 65_535];
        let received = tokio::time::timeout(std::time::Duration::from_secs(30), socket.recv(&mut buffer));
        let length = received.await.unwrap().unwrap();
        buffer.truncate(length);
        buffer
    }

    async fn tcp(&self, question: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.cloudflare.dns()).await.unwrap();
        let length = u16::try_from(question.len()).unwrap();
        stream.write_all(&[&length.to_be_bytes()[..], question].concat()).await.unwrap();
        let mut buffer = vec![0; usize::from(stream.read_u16().await.unwrap())];
        stream.read_exact(&mut buffer).await.unwrap();
        buffer
    }

    async fn look(&self, name: &str, kind: TYPE) -> Said {
        said(&self.udp(&question(name, QTYPE::TYPE(kind), Some(1232))).await)
    }

    /// Only the answers, of a question that went well.
    async fn found(&self, name: &str, kind: TYPE) -> Vec<String> {
        let said = self.look(name, kind).await;
        assert_eq!(
            (said.code, said.authoritative, said.truncated),
            (RCODE::NoError, true, false),
            "{said:?}"
        );
        said.answers
    }
}

#[tokio::test]
async fn records_are_answered_with_their_ttl_and_zones_with_soa_and_ns() {
    let api = Api::start().await;
    for record in [
        json!({"type": "A", "name": "www", "content": "198.51.100.4", "ttl": 120}),
        json!({"type": "A", "name": "www", "content": "198.51.100.5", "ttl": 120}),
        json!({"type": "AAAA", "name": "www", "content": "2001:db8::1"}),
        json!({"type": "MX", "name": "@", "content": "mx.example.net", "priority": 5}),
        json!({"type": "SRV", "name": "_sip._tcp", "data": {"priority": 1, "weight": 2, "port": 3, "target": "sip.example.com"}}),
        json!({"type": "TXT", "name": "long", "content": "x".repeat(300)}),
    ] {
        api.made(record).await;
    }
    // As it was asked for: resolvers check the case.
    let two = ["WWW.Example.com 120 A 198.51.100.4", "WWW.Example.com 120 A 198.51.100.5"];
    assert_eq!(api.found("WWW.Example.com", TYPE::A).await, two);
    assert_eq!(api.found("www.example.com", TYPE::AAAA).await, ["www.example.com 300 AAAA 2001:db8::1"]);
    assert_eq!(api.found("example.com", TYPE::MX).await, ["example.com 300 MX 5 mx.example.net"]);
    assert_eq!(
        api.found("_sip._tcp.example.com", TYPE::SRV).await,
        ["_sip._tcp.example.com 300 SRV 1 2 3 sip.example.com"]
    );
    assert_eq!(
        api.found("long.example.com", TYPE::TXT).await,
        [format!("long.example.com 300 TXT {:?}", "x".repeat(300))]
    );
    assert_eq!(api.found("example.com", TYPE::SOA).await, ["example.com 86400 SOA 7 1800"]);
    assert_eq!(api.found("example.com", TYPE::NS).await.len(), 2);
    let stranger = api.look("example.org", TYPE::A).await;
    assert_eq!((stranger.code, stranger.authoritative), (RCODE::Refused, false));
}

#[tokio::test]
async fn what_is_not_there_is_told_apart_from_what_has_no_such_record() {
    let api = Api::start().await;
    api.made(json!({"type": "A", "name": "a.between", "content": "198.51.100.4"})).await;
    let absent = |code| Said {
        code,
        authoritative: true,
        truncated: false,
        answers: vec![],
        authorities: vec!["example.com 1800 SOA 2 1800".into()],
    };
    assert_eq!(api.look("nowhere.example.com", TYPE::A).await, absent(RCODE::NameError));
    assert_eq!(api.look("a.between.example.com", TYPE::AAAA).await, absent(RCODE::NoError));
    assert_eq!(api.look("between.example.com", TYPE::A).await, absent(RCODE::NoError));
    assert_eq!(api.look("example.com", TYPE::A).await, absent(RCODE::NoError));
}

/// The zone of RFC 4592, section 2.2.1.
#[tokio::test]
async fn wildcards_stand_for_names_that_are_not_there() {
    let api = Api::start().await;
    for (kind, name, content) in [
        ("TXT", "*", "this is a wildcard"),
        ("MX", "*", "host1.example.com"),
        ("TXT", "sub.*", "this is not a wildcard"),
        ("A", "host1", "192.0.2.1"),
        ("A", "_ssh._tcp.host1", "192.0.2.1"),
        ("NS", "subdel", "ns.example.net"),
    ] {
        if name == "sub.*" {
            // Cloudflare takes no star but the first label.
            assert_eq!(
                super::cause(&api.post(json!({"type": kind, "name": name, "content": content})).await.1),
                9000
            );
            continue;
        }
        api.made(json!({"type": kind, "name": name, "content": content, "priority": 10})).await;
    }
    assert_eq!(
        api.found("host3.example.com", TYPE::MX).await,
        ["host3.example.com 300 MX 10 host1.example.com"]
    );
    assert_eq!(
        api.found("foo.bar.example.com", TYPE::TXT).await,
        ["foo.bar.example.com 300 TXT \"this is a wildcard\""]
    );
    assert!(api.found("host3.example.com", TYPE::A).await.is_empty(), "the wildcard has no A");
    assert!(api.found("host1.example.com", TYPE::MX).await.is_empty(), "the name is there");
    assert!(
        api.found("_tcp.host1.example.com", TYPE::TXT).await.is_empty(),
        "the name is there, between others"
    );
    assert_eq!(api.look("_telnet._tcp.host1.example.com", TYPE::TXT).await.code, RCODE::NameError);
    assert_eq!(api.found("*.example.com", TYPE::TXT).await.len(), 1);
    let delegated = api.look("host.subdel.example.com", TYPE::A).await;
    assert_eq!((delegated.code, delegated.authoritative), (RCODE::NoError, false));
    assert_eq!(delegated.authorities, ["subdel.example.com 300 NS ns.example.net"]);
}

#[tokio::test]
async fn aliases_are_followed_inside_the_zone() {
    let api = Api::start().await;
    api.cloudflare.add_zone(Zone::new("example.org")).unwrap();
    for (kind, name, content) in [
        ("CNAME", "one", "two.example.com"),
        ("CNAME", "two", "three.example.com"),
        ("A", "three", "198.51.100.4"),
        ("CNAME", "away", "www.example.org"),
        ("CNAME", "lost", "nowhere.example.com"),
        ("CNAME", "ping", "pong.example.com"),
        ("CNAME", "pong", "ping.example.com"),
        ("TXT", "one", "beside"),
        ("CNAME", "@", "three.example.com"),
    ] {
        api.made(json!({"type": kind, "name": name, "content": content})).await;
    }
    let chain = [
        "one.example.com 300 CNAME two.example.com",
        "two.example.com 300 CNAME three.example.com",
        "three.example.com 300 A 198.51.100.4",
    ];
    assert_eq!(api.found("one.example.com", TYPE::A).await, chain);
    assert_eq!(api.found("one.example.com", TYPE::CNAME).await, chain[..1]);
    assert_eq!(api.found("one.example.com", TYPE::TXT).await, ["one.example.com 300 TXT \"beside\""]);
    assert_eq!(api.found("away.example.com", TYPE::A).await, ["away.example.com 300 CNAME www.example.org"]);
    let lost = api.look("lost.example.com", TYPE::A).await;
    assert_eq!((lost.code, lost.answers.len()), (RCODE::NameError, 1));
    assert_eq!(api.look("ping.example.com", TYPE::A).await.code, RCODE::ServerFailure);
    assert_eq!(
        api.found("example.com", TYPE::A).await,
        ["example.com 300 A 198.51.100.4"],
        "the apex is flat"
    );
    assert!(api.found("example.com", TYPE::CNAME).await.is_empty());
}

#[tokio::test]
async fn proxied_records_show_cloudflares_addresses() {
    let api = Api::start().await;
    api.made(json!({"type": "A", "name": "p", "content": "198.51.100.4", "proxied": true})).await;
    api.made(json!({"type": "CNAME", "name": "*.q", "content": "lb.example.net", "proxied": true})).await;
    assert_eq!(api.found("p.example.com", TYPE::A).await, ["p.example.com 300 A 203.0.113.10"]);
    assert_eq!(api.found("a.q.example.com", TYPE::AAAA).await, ["a.q.example.com 300 AAAA 2001:db8::10"]);
    assert!(api.found("a.q.example.com", TYPE::CNAME).await.is_empty());
}

#[tokio::test]
async fn long_answers_are_cut_by_udp_and_whole_by_tcp() {
    let api = Api::start().await;
    for number in 0..20 {
        let content = format!("{number}{}", "x".repeat(90));
        api.made(json!({"type": "TXT", "name": "many", "content": content})).await;
    }
    let ask = |payload| question("many.example.com", QTYPE::TYPE(TYPE::TXT), payload);
    for payload in [None, Some(1232), Some(4096)] {
        let answer = api.udp(&ask(payload)).await;
        let cut = said(&answer);
        assert!(cut.truncated && cut.answers.is_empty() && answer.len() <= 512, "{cut:?}");
        assert_eq!(Packet::parse(&answer).unwrap().opt().is_some(), payload.is_some());
    }
    let whole = said(&api.tcp(&ask(None)).await);
    assert_eq!((whole.truncated, whole.answers.len()), (false, 20));
}

#[tokio::test]
async fn changes_are_seen_after_the_zones_lag() {
    let api = Api::with(Options::default(), Zone::new("example.com").lag(30)).await;
    let later = |seconds| api.cloudflare.advance(std::time::Duration::from_secs(seconds));
    api.made(json!({"type": "A", "name": "one", "content": "198.51.100.4"})).await;
    later(20);
    api.made(json!({"type": "A", "name": "two", "content": "198.51.100.5"})).await;
    assert_eq!(api.look("one.example.com", TYPE::A).await.code, RCODE::NameError);
    later(10);
    assert_eq!(api.found("one.example.com", TYPE::A).await.len(), 1);
    assert_eq!(api.look("two.example.com", TYPE::A).await.code, RCODE::NameError);
    later(20);
    assert_eq!(api.found("two.example.com", TYPE::A).await.len(), 1);
    assert!(api.cloudflare.set_lag("example.com", 0));
    api.made(json!({"type": "A", "name": "three", "content": "198.51.100.6"})).await;
    assert_eq!(api.found("three.example.com", TYPE::A).await.len(), 1);
    assert_eq!(api.found("example.com", TYPE::SOA).await, ["example.com 86400 SOA 4 1800"]);
}

#[tokio::test]
async fn one_port_takes_both_kinds_of_questions_again() {
    let api = Api::start().await;
    let port = api.cloudflare.dns().port();
    api.cloudflare.stop().await;
    let options = Options { dns_port: port, ..Options::default() };
    let api = Api::with(options, Zone::new("example.com")).await;
    let ask = question("example.com", QTYPE::TYPE(TYPE::SOA), None);
    assert_eq!(said(&api.udp(&ask).await), said(&api.tcp(&ask).await));
}
