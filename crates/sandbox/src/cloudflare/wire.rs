//! DNS messages: as much of RFC 1035 and RFC 6891 as an authoritative server needs.

/// The types that the server treats in a way of their own.
pub(super) mod number {
    pub(crate) const A: u16 = 1;
    pub(crate) const NS: u16 = 2;
    pub(crate) const SOA: u16 = 6;
    pub(crate) const AAAA: u16 = 28;
    pub(crate) const OPT: u16 = 41;
    pub(crate) const DS: u16 = 43;
    pub(crate) const ANY: u16 = 255;
}

/// How a question ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Ok = 0,
    Malformed = 1,
    Failed = 2,
    NoSuchName = 3,
    NotImplemented = 4,
    Refused = 5,
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    id: u16,
    /// Whether recursion was asked for; it is told back.
    recurse: bool,
    /// The name as it was written, which is told back, too.
    raw: Vec<u8>,
    /// Lower case, without a dot at the end.
    pub(super) name: String,
    pub(super) kind: u16,
    class: u16,
    /// The largest UDP answer that the asker takes, if it speaks EDNS.
    payload: Option<u16>,
}

/// A resource record of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resource {
    pub(super) name: String,
    pub(super) kind: u16,
    pub(super) ttl: u32,
    pub(super) data: Vec<u8>,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) code: Code,
    pub(super) authoritative: bool,
    pub(super) answers: Vec<Resource>,
    pub(super) authorities: Vec<Resource>,
}

impl Reply {
    pub(super) fn empty(code: Code) -> Reply {
        Reply { code, authoritative: false, answers: Vec::new(), authorities: Vec::new() }
    }
}

/// The largest answer by UDP that is sure not to be fragmented (DNS flag day 2020).
const SAFE: u16 = 1232;

impl Question {
    /// Reads a question. The error is the answer to something else; `None`: it deserves none.
    pub(super) fn read(message: &[u8]) -> Result<Question, Option<Vec<u8>>> {
        let mut reader = Reader { message, at: 0 };
        let header = (|| {
            Some([reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?])
        })();
        let Some([id, flags, questions, answers, authorities, additionals]) = header else {
            return Err(None);
        };
        // An answer to an answer would go on for ever.
        if flags & 0x8000 != 0 {
            return Err(None);
        }
        let refuse = |code: Code| {
            let flags = 0x8000 | (flags & 0x7900) | code as u16;
            let header = [id, flags, 0, 0, 0, 0];
            Some(header.iter().flat_map(|word| word.to_be_bytes()).collect())
        };
        if flags & 0x7800 != 0 {
            return Err(refuse(Code::NotImplemented));
        }
        let question = (|| {
            if questions != 1 || answers != 0 || authorities != 0 {
                return None;
            }
            let (raw, name) = reader.name()?;
            let (kind, class) = (reader.u16()?, reader.u16()?);
            let mut payload = None;
            for _ in 0..additionals {
                reader.name()?;
                let (kind, size) = (reader.u16()?, reader.u16()?);
                reader.skip(4)?;
                let length = reader.u16()?;
                reader.skip(usize::from(length))?;
                payload = payload.or((kind == number::OPT).then_some(size));
            }
            Some(Question { id, recurse: flags & 0x0100 != 0, raw, name, kind, class, payload })
        })();
        let question = question.ok_or_else(|| refuse(Code::Malformed))?;
        if question.class != 1 { Err(refuse(Code::Refused)) } else { Ok(question) }
    }

    /// The answer in bytes; by UDP it is cut when it is longer than the asker takes.
    pub(super) fn answer(&self, reply: &Reply, udp: bool) -> Vec<u8> {
        let whole = self.written(reply, false);
        let most = usize::from(self.payload.map_or(512, |payload| payload.clamp(512, SAFE)));
        if udp && whole.len() > most {
            let Reply { code, authoritative, .. } = *reply;
            return self.written(&Reply { authoritative, ..Reply::empty(code) }, true);
        }
        whole
    }

    fn written(&self, reply: &Reply, truncated: bool) -> Vec<u8> {
        let bit = |on: bool, bit: u16| if on { bit } else { 0 };
        let flags = 0x8000
            | bit(reply.authoritative, 0x0400)
            | bit(truncated, 0x0200)
            | bit(self.recurse, 0x0100)
            | reply.code as u16;
        let count = |resources: &[Resource]| u16::try_from(resources.len()).unwrap_or(u16::MAX);
        let edns = u16::from(self.payload.is_some());
        let mut out = Vec::new();
        for word in [self.id, flags, 1, count(&reply.answers), count(&reply.authorities), edns] {
            out.extend(word.to_be_bytes());
        }
        out.extend(&self.raw);
        out.extend(self.kind.to_be_bytes());
        out.extend(self.class.to_be_bytes());
        for Resource { name: owner, kind, ttl, data } in reply.answers.iter().chain(&reply.authorities) {
            // Nearly every record is of the name that was asked for, which stands after the header.
            match *owner == self.name {
                true => out.extend([0xc0, 12]),
                false => out.extend(name(owner)),
            }
            out.extend(kind.to_be_bytes());
            out.extend(1_u16.to_be_bytes());
            out.extend(ttl.to_be_bytes());
            out.extend(u16::try_from(data.len()).unwrap_or(0).to_be_bytes());
            out.extend(data);
        }
        if edns == 1 {
            out.push(0);
            out.extend(number::OPT.to_be_bytes());
            out.extend(SAFE.to_be_bytes());
            out.extend([0; 6]);
        }
        out
    }
}

/// A name in wire form. Labels that are too long cannot be in it; the API lets none in.
pub(super) fn name(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        out.push(u8::try_from(label.len()).unwrap_or(0));
        out.extend(label.as_bytes());
    }
    out.push(0);
    out
}

/// Strings of at most 255 bytes each.
pub(super) fn strings(strings: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for string in strings {
        out.push(u8::try_from(string.len()).unwrap_or(u8::MAX));
        out.extend(string.iter().take(255));
    }
    out
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn skip(&mut self, bytes: usize) -> Option<&[u8]> {
        let taken = self.message.get(self.at..self.at.checked_add(bytes)?)?;
        self.at += bytes;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.skip(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    /// A name as it stands there, and as text. Pointers have no place in a question.
    fn name(&mut self) -> Option<(Vec<u8>, String)> {
        let (mut raw, mut labels) = (Vec::new(), Vec::new());
        loop {
            let length = *self.skip(1)?.first()?;
            raw.push(length);
            if length == 0 {
                return Some((raw, labels.join(".")));
            }
            if length > 63 || raw.len() > 255 {
                return None;
            }
            let label = self.skip(usize::from(length))?;
            raw.extend(label);
            labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_question_is_not_answered_or_refused() {
        assert_eq!(Question::read(&[1, 2, 3]), Err(None));
        let header = |flags: u16, questions: u16| {
            [7, flags, questions, 0, 0, 0]
                .iter()
                .flat_map(|word: &u16| word.to_be_bytes())
                .collect::<Vec<_>>()
        };
        assert_eq!(Question::read(&header(0x8000, 1)), Err(None));
        let code = |message: &[u8]| Question::read(message).unwrap_err().unwrap()[3] & 15;
        assert_eq!(code(&header(0x2800, 1)), Code::NotImplemented as u8);
        assert_eq!(code(&header(0, 0)), Code::Malformed as u8);
        let mut pointer = header(0, 1);
        pointer.extend([0xc0, 12, 0, 1, 0, 1]);
        assert_eq!(code(&pointer), Code::Malformed as u8);
    }
}
