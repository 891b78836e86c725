//! Messages over TCP, signed as RFC 8945 says. <https://www.rfc-editor.org/rfc/rfc8945>

use super::wire::{self, Message, Signature};
use crate::{error::ProviderError, name::Name};
use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Sha256, Sha384, Sha512};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// How long the server may take for each part of an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How far its clock and ours may be apart (RFC 8945, 10), in seconds.
const FUDGE: u16 = 300;

/// What messages are signed with, which the server knows, too.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its name on the server.
    pub name: String,
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The key itself, in Base64, as `tsig-keygen` writes it.
    pub secret: SecretString,
}

/// How messages are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    #[default]
    Sha256,
    /// HMAC with SHA-384.
    Sha384,
    /// HMAC with SHA-512.
    Sha512,
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "hmac-sha256",
            Algorithm::Sha384 => "hmac-sha384",
            Algorithm::Sha512 => "hmac-sha512",
        }
    }
}

struct Signer {
    /// The key's name and the algorithm's, as octets.
    names: [Vec<u8>; 2],
    algorithm: Algorithm,
    secret: Vec<u8>,
}

impl Signer {
    /// The signature of `octets`.
    fn sign(&self, octets: &[u8]) -> Vec<u8> {
        fn with<M: Mac + KeyInit>(secret: &[u8], octets: &[u8]) -> Vec<u8> {
            let mut mac = <M as KeyInit>::new_from_slice(secret).expect("HMAC takes keys of any length");
            mac.update(octets);
            mac.finalize().into_bytes().to_vec()
        }
        match self.algorithm {
            Algorithm::Sha256 => with::<Hmac<Sha256>>(&self.secret, octets),
            Algorithm::Sha384 => with::<Hmac<Sha384>>(&self.secret, octets),
            Algorithm::Sha512 => with::<Hmac<Sha512>>(&self.secret, octets),
        }
    }

    fn is_signed(&self, octets: &[u8], signature: &[u8]) -> bool {
        let own = self.sign(octets);
        // Whoever measures how long this takes must learn nothing of the right one.
        own.len() == signature.len() && own.iter().zip(signature).fold(0, |odd, (a, b)| odd | (a ^ b)) == 0
    }
}

/// Speaks to one server, over a connection for each question.
pub(super) struct Exchange {
    server: String,
    signer: Option<Signer>,
}

impl Exchange {
    pub(super) fn new(server: String, key: Option<&Key>) -> Result<Self, ProviderError> {
        let signer = key.map(signer).transpose().map_err(|words| ProviderError::Denied {
            call: "dns:Connect",
            words,
            remedy: "write the key as `tsig-keygen` does",
        })?;
        Ok(Exchange { server, signer })
    }

    /// Sends `message`, and has the answer read.
    pub(super) async fn send(
        &self,
        call: &'static str,
        mut message: Message,
    ) -> Result<Answer<'_>, ProviderError> {
        let (id, mut chain) = (message.id(), None);
        if let Some(signer) = &self.signer {
            let mut signature = Signature {
                names: signer.names.clone(),
                time: u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default(),
                fudge: FUDGE,
                original_id: id,
                ..Signature::default()
            };
            signature.mac = signer.sign(&[&message.octets[..], &signature.variables()].concat());
            message.sign(&signature);
            chain = Some(Chain { signer, last: signature.mac, unsigned: vec![], first: true });
        }
        let octets = message.octets;
        let length = u16::try_from(octets.len()).map_err(|_| ProviderError::Refused {
            call,
            words: format!("the message has {} octets, and 65,535 are allowed", octets.len()),
        })?;
        let unreached = |source: std::io::Error| ProviderError::Unreached { call, source: source.into() };
        let late =
            |_| ProviderError::Unreached { call, source: format!("{} does not answer", self.server).into() };
        let mut stream =
            timeout(PATIENCE, TcpStream::connect(&self.server)).await.map_err(late)?.map_err(unreached)?;
        let framed = [&length.to_be_bytes()[..], &octets].concat();
        timeout(PATIENCE, stream.write_all(&framed)).await.map_err(late)?.map_err(unreached)?;
        Ok(Answer { call, id, stream, chain })
    }
}

fn signer(key: &Key) -> Result<Signer, String> {
    let name = Name::parse(&key.name).ok().and_then(|name| wire::name(name.as_str()));
    let name = name.ok_or_else(|| format!("`{}` is no name of a key", key.name))?;
    let algorithm = wire::name(key.algorithm.name()).unwrap_or_default();
    let secret = BASE64_STANDARD
        .decode(key.secret.expose_secret().trim())
        .map_err(|_| format!("the secret of the key `{}` is not Base64", key.name))?;
    Ok(Signer { names: [name, algorithm], algorithm: key.algorithm, secret })
}

/// What the server sends, one message after the other.
pub(super) struct Answer<'e> {
    call: &'static str,
    id: u16,
    stream: TcpStream,
    chain: Option<Chain<'e>>,
}

/// Each signature covers the one before it, and what came unsigned since.
struct Chain<'e> {
    signer: &'e Signer,
    last: Vec<u8>,
    unsigned: Vec<u8>,
    first: bool,
}

impl Answer<'_> {
    /// The next message.
    pub(super) async fn next(&mut self) -> Result<Message, ProviderError> {
        let call = self.call;
        let unreached = |source: std::io::Error| ProviderError::Unreached { call, source: source.into() };
        let late = |_| ProviderError::Unreached { call, source: "the server stopped in its answer".into() };
        let mut length = [0; 2];
        timeout(PATIENCE, self.stream.read_exact(&mut length)).await.map_err(late)?.map_err(unreached)?;
        let mut octets = vec![0; u16::from_be_bytes(length).into()];
        timeout(PATIENCE, self.stream.read_exact(&mut octets)).await.map_err(late)?.map_err(unreached)?;
        let odd = |words: String| ProviderError::Server { call, words };
        let message = Message::read(octets).ok_or_else(|| odd("its answer is no message".into()))?;
        if message.id() != self.id {
            return Err(odd("its answer is to another question".into()));
        }
        // A server that does not know the key, or sees that it is another, signs nothing.
        if let Some(chain) = &mut self.chain
            && message.code() != NOT_AUTHORISED
        {
            chain.check(&message).map_err(odd)?;
        }
        Ok(message)
    }

    /// Looks that nothing is left without a signature.
    pub(super) fn is_whole(&self) -> Result<(), ProviderError> {
        match &self.chain {
            Some(chain) if chain.first || !chain.unsigned.is_empty() => Err(ProviderError::Server {
                call: self.call,
                words: "its answer is not signed to its end".into(),
            }),
            _ => Ok(()),
        }
    }
}

impl Chain<'_> {
    fn check(&mut self, message: &Message) -> Result<(), String> {
        let Some(signature) = &message.signature else {
            if self.first {
                return Err("its answer is not signed".into());
            }
            self.unsigned.extend(&message.octets);
            return Ok(());
        };
        let mut covered = u16::try_from(self.last.len()).unwrap_or_default().to_be_bytes().to_vec();
        covered.extend(&self.last);
        covered.append(&mut self.unsigned);
        covered.extend(message.unsigned(signature));
        covered.extend(if self.first { signature.variables() } else { signature.timers() });
        if signature.names != self.signer.names || !self.signer.is_signed(&covered, &signature.mac) {
            return Err("its answer is not signed with the key".into());
        }
        let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default();
        if signature.time.abs_diff(now) > u64::from(FUDGE) {
            return Err("its answer was signed at another time; look at both clocks".into());
        }
        (self.last, self.first) = (signature.mac.clone(), false);
        Ok(())
    }
}

/// The answer of a server that does not know the key, or the zone.
const NOT_AUTHORISED: u8 = 9;

/// What the server says of what it was asked. <https://www.rfc-editor.org/rfc/rfc2136#section-2.2>
pub(super) fn said(call: &'static str, message: &Message) -> Result<(), ProviderError> {
    let because = match message.signature.as_ref().map_or(0, |s| s.error) {
        0 => "",
        16 => " (BADSIG: the secret is another)",
        17 => " (BADKEY: there is no such key)",
        18 => " (BADTIME: its clock is another)",
        _ => " (its signature says why)",
    };
    let code = message.code();
    let word = match code {
        0 => return Ok(()),
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        6 => "YXDOMAIN",
        7 => "YXRRSET",
        8 => "NXRRSET",
        NOT_AUTHORISED => "NOTAUTH",
        10 => "NOTZONE",
        _ => "an error",
    };
    let words = format!("{code}: {word}{because}");
    Err(match code {
        2 => ProviderError::Server { call, words },
        3 | 6..=8 => ProviderError::Conflict { call, words },
        5 | NOT_AUTHORISED => ProviderError::Denied { call, words, remedy: REMEDY },
        _ => ProviderError::Refused { call, words },
    })
}

const REMEDY: &str =
    "look whether the server has this zone, lets the key transfer and update it, and both clocks agree";
