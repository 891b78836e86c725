//! Asks one DNS server one question: by UDP, and by TCP where the answer is too long for that (RFC 1035, 4.2; RFC 7766).

use causeway_dns::record::{Kind, normal};
use simple_dns::{CLASS, Name, Packet, PacketFlag, Question, RCODE, TYPE, rdata::RData};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
};

/// How long one try may take. A datagram may be lost, so there are [`TRIES`].
const PATIENCE: Duration = Duration::from_secs(2);

/// How often a server is asked by UDP.
const TRIES: usize = 3;

/// Why a server did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Nothing came back.
    #[error("no answer")]
    Silent,
    /// It does not want to answer, or cannot.
    #[error("it answers {0}")]
    Refused(String),
    /// What came back is no answer.
    #[error("what it answers is no DNS message")]
    Garbled,
}

/// What a server says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// The values, in normal form.
    pub values: BTreeSet<String>,
    /// For how many seconds it may say so still.
    pub ttl: u32,
}

/// What `server` says of `name`, of any type that has a class. With `recurse` it is to ask others.
///
/// # Errors
/// When it does not answer. That there is nothing is an answer.
pub async fn ask(server: SocketAddr, name: &str, kind: &Kind, recurse: bool) -> Result<Said, AskError> {
    let id = u16::from_le_bytes(random());
    let query = query(id, name, kind, recurse).ok_or(AskError::Garbled)?;
    for _ in 0..TRIES {
        let Ok(answer) = tokio::time::timeout(PATIENCE, by_udp(server, &query)).await else { continue };
        // A port that nobody listens on answers at once; the server may just be starting.
        let Ok(octets) = answer else {
            tokio::time::sleep(PATIENCE / 8).await;
            continue;
        };
        match read(&octets, id, name, kind)? {
            Some(said) => return Ok(said),
            None => break,
        }
    }
    let octets = tokio::time::timeout(PATIENCE, by_tcp(server, &query)).await;
    let octets = octets.map_err(|_| AskError::Silent)?.map_err(|_| AskError::Silent)?;
    read(&octets, id, name, kind)?.ok_or(AskError::Garbled)
}

/// Zeros where the operating system has no randomness: then only a liar on the way gains something.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let _ = getrandom::fill(&mut bytes);
    bytes
}

/// A label that nobody has, so that only a wildcard answers.
pub(crate) fn random_label() -> String {
    let letters = random::<12>().map(|byte| char::from(b'a' + byte % 26));
    format!("causeway-{}", letters.iter().collect::<String>())
}

fn kind_of(kind: &Kind) -> Option<TYPE> {
    Some(match kind {
        Kind::A => TYPE::A,
        Kind::Aaaa => TYPE::AAAA,
        Kind::Cname => TYPE::CNAME,
        Kind::Txt => TYPE::TXT,
        Kind::Ns => TYPE::NS,
        Kind::Mx => TYPE::MX,
        Kind::Srv => TYPE::SRV,
        Kind::Caa => TYPE::CAA,
        Kind::Alias | Kind::Alias6 | Kind::Other(_) => return None,
    })
}

fn query(id: u16, name: &str, kind: &Kind, recurse: bool) -> Option<Vec<u8>> {
    let mut packet = Packet::new_query(id);
    if recurse {
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
    }
    let name = Name::new(name).ok()?;
    packet.questions.push(Question::new(name, kind_of(kind)?.into(), CLASS::IN.into(), false));
    packet.build_bytes_vec().ok()
}

async fn by_udp(server: SocketAddr, query: &[u8]) -> std::io::Result<Vec<u8>> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    // A port of its own for each question; answers from elsewhere do not arrive.
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(query).await?;
    let mut octets = vec![0; 4096];
    let length = socket.recv(&mut octets).await?;
    octets.truncate(length);
    Ok(octets)
}

async fn by_tcp(server: SocketAddr, query: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(query.len()).map_err(std::io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), query].concat()).await?;
    let mut octets = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut octets).await?;
    Ok(octets)
}

/// None: it was cut short, so TCP has to be asked.
fn read(octets: &[u8], id: u16, name: &str, kind: &Kind) -> Result<Option<Said>, AskError> {
    let packet = Packet::parse(octets).map_err(|_| AskError::Garbled)?;
    if packet.id() != id {
        return Err(AskError::Garbled);
    }
    if packet.has_flags(PacketFlag::TRUNCATION) {
        return Ok(None);
    }
    match packet.rcode() {
        RCODE::NoError | RCODE::NameError => {}
        other => return Err(AskError::Refused(format!("{other:?}").to_uppercase())),
    }
    let mut said = Said { values: BTreeSet::new(), ttl: u32::MAX };
    // Who has a zone answers for what is delegated from it with a referral.
    let referred = packet.name_servers.iter().filter(|r| r.name.to_string().eq_ignore_ascii_case(name));
    let referred = referred.filter(|_| *kind == Kind::Ns && packet.answers.is_empty());
    for record in packet.answers.iter().chain(referred) {
        let host = |name: &Name<'_>| match name.to_string().to_lowercase() {
            root if root.is_empty() => ".".to_owned(),
            name => name,
        };
        let value = match (&record.rdata, kind) {
            (RData::A(a), Kind::A) => IpAddr::from(Ipv4Addr::from(a.address)).to_string(),
            (RData::AAAA(a), Kind::Aaaa) => IpAddr::from(Ipv6Addr::from(a.address)).to_string(),
            (RData::CNAME(name), Kind::Cname) => host(&name.0),
            (RData::NS(name), Kind::Ns) => host(&name.0),
            (RData::TXT(text), Kind::Txt) => String::try_from(text.clone()).map_err(|_| AskError::Garbled)?,
            (RData::MX(mx), Kind::Mx) => format!("{} {}", mx.preference, host(&mx.exchange)),
            (RData::SRV(srv), Kind::Srv) => {
                format!("{} {} {} {}", srv.priority, srv.weight, srv.port, host(&srv.target))
            }
            (RData::CAA(caa), Kind::Caa) => {
                let value = String::from_utf8_lossy(&caa.value);
                let said = format!("{} {} {value}", caa.flag, caa.tag);
                normal(kind, &said).map_err(|_| AskError::Garbled)?
            }
            _ => continue,
        };
        said.ttl = said.ttl.min(record.ttl);
        said.values.insert(value);
    }
    if said.values.is_empty() {
        said.ttl = 0;
    }
    Ok(Some(said))
}
