//! Ed25519 signatures, with keys as OpenSSL and OpenSSH write them.
//!
//! A private key is PEM: `PRIVATE KEY` (PKCS#8, what `openssl genpkey -algorithm ed25519` writes) or
//! `OPENSSH PRIVATE KEY` without a passphrase (what `ssh-keygen -t ed25519 -N ''` writes). A public key is PEM
//! (`PUBLIC KEY`, what `openssl pkey -pubout` writes) or the line of a `.pub` file.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use sha2::{Digest, Sha256};
use std::fmt;

/// What OpenSSH calls such keys.
const SSH: &str = "ssh-ed25519";

/// All of a public key in DER but its 32 bytes: RFC 8410, 4.
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Why a text is no key that can be used. Never says what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Neither PEM nor OpenSSH.
    #[error(
        "it is no key: expected PEM, as `openssl genpkey -algorithm ed25519` writes it, or a key of OpenSSH"
    )]
    NotAKey,
    /// Another algorithm.
    #[error("it is no Ed25519 key: `openssl genpkey -algorithm ed25519` makes one")]
    OtherKind,
    /// It has a passphrase.
    #[error("it has a passphrase, which nobody is asked for: give a key without one")]
    Encrypted,
    /// A private key is needed.
    #[error("it is a public key, and the private one is needed")]
    Public,
    /// A public key is needed.
    #[error("it is a private key, and the public one is needed: `openssl pkey -pubout` tells it")]
    Private,
}

/// Signs.
pub struct SigningKey(Ed25519KeyPair);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public())
    }
}

impl SigningKey {
    /// Reads a private key.
    ///
    /// # Errors
    /// [`KeyError`]
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let Some((label, der)) = pem(text) else {
            return Err(if PublicKey::parse(text).is_ok() { KeyError::Public } else { KeyError::NotAKey });
        };
        let pair = match label {
            "PRIVATE KEY" => Ed25519KeyPair::from_pkcs8(&der).map_err(|_| KeyError::OtherKind),
            "OPENSSH PRIVATE KEY" => openssh(&der),
            "ENCRYPTED PRIVATE KEY" => Err(KeyError::Encrypted),
            "PUBLIC KEY" => Err(KeyError::Public),
            _ => Err(KeyError::OtherKind),
        };
        pair.map(SigningKey)
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        let mut key = [0; 32];
        key.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(key)
    }

    /// The signature of `message`: 64 bytes.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }
}

/// Tells whether a signature is right. Shown as `ssh-keygen -l` shows it: `SHA256:..`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(self.wire())))
    }
}
impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PublicKey {
    /// Reads a public key.
    ///
    /// # Errors
    /// [`KeyError`]
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if let Some((label, der)) = pem(text) {
            return match label {
                "PUBLIC KEY" => der
                    .strip_prefix(&SPKI)
                    .and_then(|key| Some(PublicKey(key.try_into().ok()?)))
                    .ok_or(KeyError::OtherKind),
                other if other.ends_with("PRIVATE KEY") => Err(KeyError::Private),
                _ => Err(KeyError::OtherKind),
            };
        }
        let mut words = text.split_whitespace();
        match (words.next(), words.next()) {
            (Some(SSH), Some(key)) => {
                let wire = STANDARD.decode(key).map_err(|_| KeyError::NotAKey)?;
                let mut parts = Parts(&wire);
                let sound = parts.part() == Some(SSH.as_bytes());
                let key = parts.part().filter(|_| sound && parts.0.is_empty());
                key.and_then(|key| Some(PublicKey(key.try_into().ok()?))).ok_or(KeyError::NotAKey)
            }
            (Some(kind), Some(_)) if kind.starts_with("ssh-") || kind.starts_with("ecdsa-") => {
                Err(KeyError::OtherKind)
            }
            _ => Err(KeyError::NotAKey),
        }
    }

    /// As a line of OpenSSH: `ssh-ed25519 AAAA..`.
    pub fn line(&self) -> String {
        format!("{SSH} {}", STANDARD.encode(self.wire()))
    }

    /// Whether `signature` of `message` was made by the private half.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(message, signature).is_ok()
    }

    /// As OpenSSH has it in its files: RFC 8709, 4.
    fn wire(&self) -> Vec<u8> {
        let mut out = vec![];
        for part in [SSH.as_bytes(), &self.0] {
            out.extend(u32::try_from(part.len()).unwrap_or_default().to_be_bytes());
            out.extend(part);
        }
        out
    }
}

/// The label and the bytes of the first PEM block.
fn pem(text: &str) -> Option<(&str, Vec<u8>)> {
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let body: String = body.split_whitespace().collect();
    Some((label, STANDARD.decode(body).ok()?))
}

/// Strings as OpenSSH writes them: their length, and then they.
struct Parts<'a>(&'a [u8]);

impl<'a> Parts<'a> {
    fn number(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*number))
    }

    fn part(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (part, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(part)
    }
}

/// <https://cvsweb.openbsd.org/src/usr.bin/ssh/PROTOCOL.key>
fn openssh(der: &[u8]) -> Result<Ed25519KeyPair, KeyError> {
    let inner = || {
        let mut outer = Parts(der.strip_prefix(b"openssh-key-v1\0")?);
        let (cipher, _kdf, _options) = (outer.part()?, outer.part()?, outer.part()?);
        if cipher != b"none" {
            return Some(Err(KeyError::Encrypted));
        }
        let (_number, _public) = (outer.number()?, outer.part()?);
        let mut key = Parts(outer.part()?);
        let (_check, _again, kind) = (key.number()?, key.number()?, key.part()?);
        if kind != SSH.as_bytes() {
            return Some(Err(KeyError::OtherKind));
        }
        let (public, both) = (key.part()?, key.part()?);
        let seed = both.get(..32)?;
        Some(Ed25519KeyPair::from_seed_and_public_key(seed, public).map_err(|_| KeyError::NotAKey))
    };
    inner().unwrap_or(Err(KeyError::NotAKey))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8410, 10.3, and its public half.
    const PKCS8: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";
    const SPKI_PEM: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
        -----END PUBLIC KEY-----\n";

    #[test]
    fn keys_are_read_as_openssl_writes_them() {
        let key = SigningKey::parse(PKCS8).unwrap();
        assert_eq!(key.public(), PublicKey::parse(SPKI_PEM).unwrap());
        let signature = key.sign(b"plan");
        assert!(key.public().verifies(b"plan", &signature));
        assert!(!key.public().verifies(b"plam", &signature));
        for i in 0..signature.len() {
            let mut other = signature.clone();
            other[i] ^= 1;
            assert!(!key.public().verifies(b"plan", &other), "byte {i}");
        }
        assert!(!format!("{key:?}").contains("1O5y"), "no private byte is shown");
    }

    #[test]
    fn keys_are_read_as_openssh_writes_them() {
        let public = PublicKey::parse(OPENSSH_PUB).unwrap();
        assert_eq!(SigningKey::parse(OPENSSH).unwrap().public(), public);
        assert_eq!(public.to_string(), OPENSSH_FINGERPRINT);
        assert!(OPENSSH_PUB.starts_with(&public.line()));
        assert_eq!(SigningKey::parse(OPENSSH_LOCKED).unwrap_err(), KeyError::Encrypted);
    }

    #[test]
    fn what_is_no_such_key_is_refused_and_not_repeated() {
        assert_eq!(SigningKey::parse(SPKI_PEM).unwrap_err(), KeyError::Public);
        assert_eq!(SigningKey::parse(OPENSSH_PUB).unwrap_err(), KeyError::Public);
        assert_eq!(PublicKey::parse(PKCS8).unwrap_err(), KeyError::Private);
        assert_eq!(PublicKey::parse(OPENSSH).unwrap_err(), KeyError::Private);
        for text in ["", "ssh-ed25519", "ssh-ed25519 AAAA", "name = 1", "-----BEGIN PRIVATE KEY-----\n"] {
            assert_eq!(PublicKey::parse(text).unwrap_err(), KeyError::NotAKey, "{text}");
            assert_eq!(SigningKey::parse(text).unwrap_err(), KeyError::NotAKey, "{text}");
        }
        assert_eq!(PublicKey::parse("ssh-rsa AAAAB3NzaC1yc2EAAAADAQAB x").unwrap_err(), KeyError::OtherKind);
    }

    const OPENSSH: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\n\
        b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n\
        QyNTUxOQAAACAOBVw+cC1OEjiCKUwuMDWoEAWpZpKuelUy4wu2zeycRgAAAIiycIDosnCA\n\
        6AAAAAtzc2gtZWQyNTUxOQAAACAOBVw+cC1OEjiCKUwuMDWoEAWpZpKuelUy4wu2zeycRg\n\
        AAAEAUDOmizp+YAfhQ2xbrkf4oj1Yhi9ZJnyuaQ4t3gNKjQw4FXD5wLU4SOIIpTC4wNagQ\n\
        Balmkq56VTLjC7bN7JxGAAAABHRlc3QB\n\
        -----END OPENSSH PRIVATE KEY-----\n";
    const OPENSSH_LOCKED: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\n\
        b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABA/kR6L/w\n\
        Nw4JILL3mO1hn4AAAAEAAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIJFlXa60zkNzbhXd\n\
        AU25ZmvwMfA2nr69CteO6tjmeYqcAAAAkPdYdJlkqynlqS62+8nt3MGMaMSCeC0rxDjgQ8\n\
        djIy0hBbqjwwlS8qSqQXRpS+Fo1CuP7FKolx4f/fMwEjffjJuAVLLWVGZpyWH1gqTGqXGT\n\
        A3Ey8JV1iAPPg4wwW1UEd1DkhYv5sgxgoCCYPzyxLJp9kb4ofLrCJPqh4XROxcqydd0kUn\n\
        veczd958knQ+NHHw==\n\
        -----END OPENSSH PRIVATE KEY-----\n";
    const OPENSSH_PUB: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA4FXD5wLU4SOIIpTC4wNagQBalmkq56VTLjC7bN7JxG test";
    const OPENSSH_FINGERPRINT: &str = "SHA256:jtTxhbR/X5Zud2XS/q9BKFrJaQndUv98VUCkn4Y33u4";
}
