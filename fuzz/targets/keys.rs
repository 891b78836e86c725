//! Keys as OpenSSL and OpenSSH write them. A public key reads back as it was read; a private one signs what its public
//! half verifies; no error and no `Debug` says anything of what was read.
#![no_main]

mod common;

use causeway_core::signature::{PublicKey, SigningKey};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(key) = PublicKey::parse(text) {
        assert_eq!(PublicKey::parse(&key.line()), Ok(key), "a public key reads back");
        assert!(!key.verifies(b"a plan", data), "what was not signed is not verified");
    }
    match SigningKey::parse(text) {
        Ok(key) => {
            let signature = key.sign(b"a plan");
            assert!(key.public().verifies(b"a plan", &signature));
            assert!(!key.public().verifies(b"another plan", &signature));
            let mut altered = signature.clone();
            altered[common::choose(data, 0, 64)] ^= 1 << common::choose(data, 1, 8);
            assert!(!key.public().verifies(b"a plan", &altered), "an altered signature is refused");
            let shown = format!("{key:?}");
            assert_eq!(
                shown,
                format!("SigningKey({})", key.public()),
                "nothing but the public half is shown"
            );
        }
        Err(error) => {
            common::told(&error);
        }
    }
});
