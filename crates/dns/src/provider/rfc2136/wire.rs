//! Messages as octets, as far as transfers and updates need them. RFC 1035, RFC 2782 (SRV), RFC 8659 (CAA), RFC 8945.

use crate::record::{Entry, Kind, normal, strings_of, text_of};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Operations: a question, and an update.
pub(super) const QUERY: u8 = 0;
/// As [`QUERY`].
pub(super) const UPDATE: u8 = 5;

/// Classes: the internet; in updates, "no such" and "whichever".
pub(super) const IN: u16 = 1;
/// As [`IN`].
pub(super) const NONE: u16 = 254;
/// As [`IN`].
pub(super) const ANY: u16 = 255;

/// Types that are more than a record's.
pub(super) const SOA: u16 = 6;
/// As [`SOA`].
pub(super) const TSIG: u16 = 250;
/// As [`SOA`].
pub(super) const AXFR: u16 = 252;

const TYPES: [(&str, u16); 11] = [
    ("A", 1),
    ("NS", 2),
    ("CNAME", 5),
    ("SOA", SOA),
    ("PTR", 12),
    ("MX", 15),
    ("TXT", 16),
    ("AAAA", 28),
    ("SRV", 33),
    ("HTTPS", 65),
    ("CAA", 257),
];

/// A name may point to where it goes on so often; more is a circle.
const POINTERS: usize = 64;

/// Why something cannot be put into a message.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` cannot be written in a DNS message")]
pub(super) struct Unwritable(String);

/// The number of a type.
pub(super) fn number(word: &str) -> Result<u16, Unwritable> {
    let known = TYPES.iter().find(|(w, _)| *w == word).map(|(_, number)| *number);
    let number = known.or_else(|| word.strip_prefix("TYPE")?.parse().ok());
    number.ok_or_else(|| Unwritable(word.to_owned()))
}

/// What a type is called; by its number where we have no word for it (RFC 3597).
pub(super) fn word(number: u16) -> String {
    let known = TYPES.iter().find(|(_, n)| *n == number).map(|(word, _)| (*word).to_owned());
    known.unwrap_or_else(|| format!("TYPE{number}"))
}

/// A record. Names in `data` are whole.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    pub(super) name: String,
    pub(super) kind: u16,
    pub(super) class: u16,
    pub(super) ttl: u32,
    pub(super) data: Vec<u8>,
}

impl Record {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), Unwritable> {
        let long = || Unwritable(self.name.clone());
        out.extend(name(&self.name).ok_or_else(long)?);
        out.extend(self.kind.to_be_bytes());
        out.extend(self.class.to_be_bytes());
        out.extend(self.ttl.to_be_bytes());
        out.extend(u16::try_from(self.data.len()).map_err(|_| long())?.to_be_bytes());
        out.extend(&self.data);
        Ok(())
    }
}

/// What a message is about.
pub(super) struct Question<'q> {
    pub(super) operation: u8,
    pub(super) name: &'q str,
    pub(super) kind: u16,
}

/// A message that is read, or to be sent.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) octets: Vec<u8>,
    pub(super) answers: Vec<Record>,
    pub(super) signature: Option<Signature>,
}

/// The signature of a message.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Signature {
    /// Where it begins.
    pub(super) at: usize,
    /// The key's name and the algorithm's, as octets in lower case.
    pub(super) names: [Vec<u8>; 2],
    /// Seconds since 1970.
    pub(super) time: u64,
    pub(super) fudge: u16,
    pub(super) mac: Vec<u8>,
    pub(super) original_id: u16,
    pub(super) error: u16,
    pub(super) other: Vec<u8>,
}

impl Signature {
    /// What is signed beside the message (RFC 8945, 4.3.3).
    pub(super) fn variables(&self) -> Vec<u8> {
        let mut out = self.names[0].clone();
        out.extend(ANY.to_be_bytes());
        out.extend(0u32.to_be_bytes());
        out.extend(&self.names[1]);
        out.extend(self.timers());
        out.extend(self.error.to_be_bytes());
        out.extend(u16::try_from(self.other.len()).unwrap_or_default().to_be_bytes());
        out.extend(&self.other);
        out
    }

    /// What is signed of it where others came before.
    pub(super) fn timers(&self) -> Vec<u8> {
        [&self.time.to_be_bytes()[2..], &self.fudge.to_be_bytes()].concat()
    }

    fn data(&self) -> Vec<u8> {
        let short = |octets: &[u8]| u16::try_from(octets.len()).unwrap_or_default().to_be_bytes();
        [
            &self.names[1][..],
            &self.timers(),
            &short(&self.mac),
            &self.mac,
            &self.original_id.to_be_bytes(),
            &self.error.to_be_bytes(),
            &short(&self.other),
            &self.other,
        ]
        .concat()
    }

    fn read(at: usize, key: Vec<u8>, data: &[u8]) -> Option<Self> {
        let mut reader = Reader { octets: data, at: 0 };
        let algorithm = reader.name()?.to_ascii_lowercase();
        let time = [&[0, 0][..], reader.take(6)?].concat();
        Some(Signature {
            at,
            names: [key.to_ascii_lowercase(), name(&algorithm)?],
            time: u64::from_be_bytes(time.try_into().ok()?),
            fudge: reader.short()?,
            mac: reader.counted()?,
            original_id: reader.short()?,
            error: reader.short()?,
            other: reader.counted()?,
        })
    }
}

impl Message {
    /// What asks `question` of a zone; for an update, with what must be there and what is to be done.
    pub(super) fn of(
        question: &Question<'_>,
        first: &[Record],
        second: &[Record],
    ) -> Result<Self, Unwritable> {
        let mut id = [0; 2];
        getrandom::fill(&mut id).map_err(|_| Unwritable("a number at random".into()))?;
        let count = |records: &[Record]| {
            u16::try_from(records.len()).map_err(|_| Unwritable(format!("{} records", records.len())))
        };
        let mut octets = vec![id[0], id[1], question.operation << 3, 0, 0, 1];
        octets.extend(count(first)?.to_be_bytes());
        octets.extend(count(second)?.to_be_bytes());
        octets.extend([0, 0]);
        octets.extend(name(question.name).ok_or_else(|| Unwritable(question.name.to_owned()))?);
        octets.extend(question.kind.to_be_bytes());
        octets.extend(IN.to_be_bytes());
        for record in first.iter().chain(second) {
            record.write(&mut octets)?;
        }
        Ok(Message { octets, answers: vec![], signature: None })
    }

    /// Its id.
    pub(super) fn id(&self) -> u16 {
        u16::from_be_bytes([self.octets[0], self.octets[1]])
    }

    /// What the server says of the question: 0 is yes.
    pub(super) fn code(&self) -> u8 {
        self.octets[3] & 0x0f
    }

    /// Adds a signature at its end.
    pub(super) fn sign(&mut self, signature: &Signature) {
        let data = signature.data();
        self.octets.extend(&signature.names[0]);
        self.octets.extend(TSIG.to_be_bytes());
        self.octets.extend(ANY.to_be_bytes());
        self.octets.extend(0u32.to_be_bytes());
        self.octets.extend(u16::try_from(data.len()).unwrap_or_default().to_be_bytes());
        self.octets.extend(data);
        let additional = u16::from_be_bytes([self.octets[10], self.octets[11]]) + 1;
        self.octets[10..12].copy_from_slice(&additional.to_be_bytes());
    }

    /// The octets as they were before they were signed.
    pub(super) fn unsigned(&self, signature: &Signature) -> Vec<u8> {
        let mut octets = self.octets[..signature.at].to_vec();
        let additional = u16::from_be_bytes([octets[10], octets[11]]).saturating_sub(1);
        octets[10..12].copy_from_slice(&additional.to_be_bytes());
        octets[..2].copy_from_slice(&signature.original_id.to_be_bytes());
        octets
    }

    /// What `octets` say. None where they are no message.
    pub(super) fn read(octets: Vec<u8>) -> Option<Self> {
        let mut reader = Reader { octets: &octets, at: 4 };
        let counts = [reader.short()?, reader.short()?, reader.short()?, reader.short()?];
        for _ in 0..counts[0] {
            reader.name()?;
            reader.take(4)?;
        }
        let (mut answers, mut signature) = (vec![], None);
        for at in 0..counts[1..].iter().map(|count| usize::from(*count)).sum() {
            let begins = reader.at;
            let record = reader.record()?;
            if at < usize::from(counts[1]) {
                answers.push(record);
            } else if record.kind == TSIG {
                signature = Signature::read(begins, name(&record.name)?, &record.data);
            }
        }
        Some(Message { octets, answers, signature })
    }
}

struct Reader<'o> {
    octets: &'o [u8],
    at: usize,
}

impl<'o> Reader<'o> {
    fn take(&mut self, length: usize) -> Option<&'o [u8]> {
        let taken = self.octets.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(taken)
    }

    fn short(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn counted(&mut self) -> Option<Vec<u8>> {
        let length = self.short()?;
        Some(self.take(length.into())?.to_vec())
    }

    /// A name as text without its last dot, with what is no usual character as in a zone file.
    fn name(&mut self) -> Option<String> {
        let (mut out, mut back, mut pointers) = (String::new(), None, 0);
        loop {
            let length = self.take(1)?[0];
            match length {
                0 => break,
                pointer if pointer & 0xc0 == 0xc0 => {
                    let low = self.take(1)?[0];
                    back.get_or_insert(self.at);
                    self.at = usize::from(u16::from_be_bytes([pointer & 0x3f, low]));
                    pointers += 1;
                    if pointers > POINTERS {
                        return None;
                    }
                }
                length if length & 0xc0 == 0 => {
                    if !out.is_empty() {
                        out.push('.');
                    }
                    for octet in self.take(length.into())? {
                        match octet {
                            b'!'..=b'~' if !b".\\".contains(octet) => out.push(char::from(*octet)),
                            other => out.push_str(&format!("\\{other:03}")),
                        }
                    }
                }
                _ => return None,
            }
        }
        self.at = back.unwrap_or(self.at);
        Some(out)
    }

    fn record(&mut self) -> Option<Record> {
        let name = self.name()?;
        let (kind, class) = (self.short()?, self.short()?);
        let ttl = u32::from_be_bytes(self.take(4)?.try_into().ok()?);
        let length = usize::from(self.short()?);
        let end = self.at.checked_add(length).filter(|end| *end <= self.octets.len())?;
        // Which octets stand before the names in it, and how many names there are.
        let names = match word(kind).as_str() {
            "NS" | "CNAME" | "PTR" => (0, 1),
            "SOA" => (0, 2),
            "MX" => (2, 1),
            "SRV" => (6, 1),
            _ => (0, 0),
        };
        let mut data = vec![];
        if names.1 > 0 {
            data.extend(self.take(names.0)?);
            for _ in 0..names.1 {
                data.extend(name_octets(&self.name()?)?);
            }
        }
        data.extend(self.take(end.checked_sub(self.at)?)?);
        Some(Record { name, kind, class, ttl, data })
    }
}

/// A name as octets.
pub(super) fn name(text: &str) -> Option<Vec<u8>> {
    name_octets(text).filter(|octets| octets.len() <= 255)
}

fn name_octets(text: &str) -> Option<Vec<u8>> {
    let mut out = vec![];
    let mut label = vec![];
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        match octet {
            b'.' if label.is_empty() => {}
            b'.' => end(&mut label, &mut out)?,
            b'\\' => {
                let digits = [octets.next()?, octets.next()?, octets.next()?];
                label.push(std::str::from_utf8(&digits).ok()?.parse().ok()?);
            }
            other => label.push(other),
        }
    }
    if !label.is_empty() {
        end(&mut label, &mut out)?;
    }
    out.push(0);
    Some(out)
}

fn end(label: &mut Vec<u8>, out: &mut Vec<u8>) -> Option<()> {
    out.push(u8::try_from(label.len()).ok().filter(|length| *length < 64)?);
    out.append(label);
    Some(())
}

/// What a record says, in normal form. None of types that we do not know, or where it makes no sense.
pub(super) fn value(kind: &Kind, data: &[u8]) -> Option<String> {
    let mut reader = Reader { octets: data, at: 0 };
    let host =
        |reader: &mut Reader<'_>| reader.name().map(|name| if name.is_empty() { ".".into() } else { name });
    let quoted = |octets: &[u8]| {
        let octets = octets.iter().map(|octet| format!("\\{octet:03}"));
        format!("\"{}\"", octets.collect::<String>())
    };
    let text = match kind {
        Kind::A => Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).to_string(),
        Kind::Aaaa => Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).to_string(),
        Kind::Cname | Kind::Ns => reader.name()?,
        Kind::Mx => format!("{} {}", reader.short()?, host(&mut reader)?),
        Kind::Srv => {
            let numbers = [reader.short()?, reader.short()?, reader.short()?];
            format!("{} {} {} {}", numbers[0], numbers[1], numbers[2], host(&mut reader)?)
        }
        Kind::Caa => {
            let (flags, length) = (reader.take(1)?[0], reader.take(1)?[0]);
            let tag = String::from_utf8(reader.take(length.into())?.to_vec()).ok()?;
            format!("{flags} {tag} {}", quoted(&data[reader.at..]))
        }
        Kind::Txt => {
            let mut strings = vec![];
            while reader.at < data.len() {
                let length = reader.take(1)?[0];
                strings.push(quoted(reader.take(length.into())?));
            }
            strings.join(" ")
        }
        Kind::Alias | Kind::Alias6 | Kind::Other(_) => return None,
    };
    normal(kind, &text).ok()
}

/// The value that was listed, to the octet.
pub(super) fn listed(entry: &Entry) -> Result<Vec<u8>, Unwritable> {
    let octets = hex::decode(&entry.handle).map_err(|_| Unwritable(entry.value.clone()))?;
    if octets.is_empty() { data(entry) } else { Ok(octets) }
}

/// The value of `entry`.
pub(super) fn data(entry: &Entry) -> Result<Vec<u8>, Unwritable> {
    octets(entry).ok_or_else(|| Unwritable(entry.value.clone()))
}

fn octets(entry: &Entry) -> Option<Vec<u8>> {
    let words: Vec<&str> = entry.value.split_whitespace().collect();
    let short = |at: usize| Some(words.get(at)?.parse::<u16>().ok()?.to_be_bytes());
    let host = |at: usize| name(words.get(at)?);
    Some(match entry.kind {
        Kind::A => entry.value.parse::<Ipv4Addr>().ok()?.octets().to_vec(),
        Kind::Aaaa => entry.value.parse::<Ipv6Addr>().ok()?.octets().to_vec(),
        Kind::Cname | Kind::Ns => host(0)?,
        Kind::Mx => [&short(0)?[..], &host(1)?].concat(),
        Kind::Srv => [&short(0)?[..], &short(1)?, &short(2)?, &host(3)?].concat(),
        Kind::Caa => {
            let (flags, tag) = (words.first()?.parse::<u8>().ok()?, words.get(1)?.as_bytes());
            let value = text_of(entry.value.splitn(3, ' ').nth(2)?).ok()?;
            [&[flags, u8::try_from(tag.len()).ok()?], tag, &value].concat()
        }
        Kind::Txt => {
            let mut out = vec![];
            for string in strings_of(&entry.value).ok()? {
                out.push(u8::try_from(string.len()).ok()?);
                out.extend(string);
            }
            out
        }
        // Of what is there and stays as it is.
        Kind::Other(_) => hex::decode(&entry.value).ok()?,
        Kind::Alias | Kind::Alias6 => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;
    use proptest::prelude::*;

    #[test]
    fn values_survive_a_message() {
        for (kind, text) in [
            (Kind::A, "192.0.2.1"),
            (Kind::Aaaa, "2001:db8::1"),
            (Kind::Cname, "lb.example.net"),
            (Kind::Ns, "_ns.example.net"),
            (Kind::Mx, "10 mail.example.net"),
            (Kind::Mx, "0 ."),
            (Kind::Srv, "0 5 443 host.example.net"),
            (Kind::Caa, "128 issue \"letsencrypt.org; validationmethods=dns-01\""),
            (Kind::Txt, "v=spf1 \"quoted\" \\ ü"),
        ] {
            let said = normal(&kind, text).unwrap();
            let entry = Entry::new(Name::parse("*.x.example.com").unwrap(), kind.clone(), said.clone(), 300);
            let record = Record {
                name: entry.name.to_string(),
                kind: number(kind.as_str()).unwrap(),
                class: IN,
                ttl: 300,
                data: data(&entry).unwrap(),
            };
            let mut octets = vec![0; 12];
            octets[7] = 1;
            record.write(&mut octets).unwrap();
            let back = Message::read(octets).unwrap().answers.remove(0);
            assert_eq!(back, record);
            assert_eq!(value(&kind, &back.data).unwrap(), said);
        }
    }

    #[test]
    fn names_that_point_are_followed_and_circles_are_not() {
        let mut octets = vec![0; 12];
        octets[7] = 1;
        octets.extend(*b"\x01a\x07example\x00");
        // The owner is `a.example`; the target `b.example`, with the end of the owner.
        let mut message = octets[..12].to_vec();
        message.extend(*b"\x01a\x07example\x00\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x04\x01b\xc0\x0e");
        let record = Message::read(message).unwrap().answers.remove(0);
        assert_eq!((record.name.as_str(), record.ttl), ("a.example", 60));
        assert_eq!(value(&Kind::Cname, &record.data).unwrap(), "b.example");
        let mut circle = octets[..12].to_vec();
        circle.extend(*b"\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x00");
        assert!(Message::read(circle).is_none());
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_not(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Message::read(octets);
        }
    }
}
