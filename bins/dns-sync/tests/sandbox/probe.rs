//! A new target has to answer for its name before the name leads there: real TLS servers, each at a loopback address of its own.

use crate::world::World;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, pem::PemObject},
};
use std::{net::Ipv4Addr, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

const CODER: &str = r#"{"external_url":"https://github.com/coder/coder","version":"v2.28.3+e0a1b2c"}"#;

/// Signs certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), certificate }
    }

    /// Answers at 127.0.0.`last` with a certificate for `names`, and with `page` whatever it is asked.
    async fn serve(&self, last: u8, port: u16, names: &[&str], page: &'static str) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        let secret = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![certificate.der().clone()], secret).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, last), port)).await.unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // Who does not trust us says so, and goes.
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let _ = stream.read(&mut [0; 4096]).await;
                    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
                    let answer = format!("{head}content-length: {}\r\n\r\n{page}", page.len());
                    let _ = stream.write_all(answer.as_bytes()).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_does_not_answer_for_the_name_is_not_followed() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let free = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let authority = Authority::new();
    let both = ["a.example.com", "*.a.example.com"];
    authority.serve(3, port, &["other.example.com", "*.a.example.com"], CODER).await;
    authority.serve(4, port, &both[..1], "").await;
    authority.serve(5, port, &both, "<html>").await;
    authority.serve(6, port, &both, "<html>").await;
    authority.serve(7, port, &both, CODER).await;

    let world = World::new().await;
    world.write("roots.pem", &authority.certificate);
    let configure = |probe: &str, target: &str| {
        let records: String = both
            .iter()
            .map(|name| format!("[[records]]\nname = \"{name}\"\nvalues = [\"{target}\"]\n"))
            .collect();
        world.configure(&records);
        let text = std::fs::read_to_string(world.path("dns-sync.toml")).unwrap();
        let guard = format!("[guard]\nprobe_port = {port}\n{probe}\n");
        world.write("dns-sync.toml", &text.replace("[guard]\n", &guard));
    };
    let said = |name: &str, wildcard: &str| {
        vec![format!("*.a.example.com A {wildcard}"), format!("a.example.com A {name}")]
    };
    let tls = "probe = \"tls\"\nprobe_roots = \"roots.pem\"";
    let coder = "probe = \"coder\"\nprobe_roots = \"roots.pem\"";
    let (old, four, five) = ("192.0.2.1", "127.0.0.4", "127.0.0.5");

    // What is new leads nowhere else yet, so it is not probed.
    configure(tls, old);
    world.run(&["apply"]).await.ends_with(0);
    for (probe, target, code, says, now) in [
        (tls, "127.0.0.2", 69, "new target `127.0.0.2` does not answer for it", (old, old)),
        (tls, "127.0.0.3", 69, "certificate", (old, "127.0.0.3")),
        (tls, four, 69, "`*.a.example.com` stays as it is", (four, "127.0.0.3")),
        ("probe = \"tls\"", five, 69, "certificate", (four, "127.0.0.3")),
        (tls, five, 0, "", (five, five)),
        (coder, "127.0.0.6", 69, "does not answer like a Coder server", (five, "127.0.0.6")),
        (coder, "127.0.0.7", 0, "", ("127.0.0.7", "127.0.0.7")),
        // Nobody asks, so nobody has to answer.
        ("", "127.0.0.2", 0, "", ("127.0.0.2", "127.0.0.2")),
    ] {
        configure(probe, target);
        let ran = world.run(&["apply"]).await;
        assert!(ran.code == code && ran.err.contains(says), "{target}: {code} `{says}`: {ran:#?}");
        assert_eq!(world.said(), said(now.0, now.1), "{target}: {ran:#?}");
    }

    for (file, says) in [("absent.pem", "cannot read"), ("dns-sync.toml", "no file of certificates")] {
        configure(&format!("probe = \"tls\"\nprobe_roots = \"{file}\""), old);
        let ran = world.run(&["apply"]).await.ends_with(64);
        assert!(ran.err.contains(says), "{ran:#?}");
    }
}
