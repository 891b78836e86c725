//! TLS for a connection, by rustls.

use futures::future::BoxFuture;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use std::{
    error::Error,
    io,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;

/// Makes one connection secret, to a server that can show who it is.
pub(crate) struct Tls {
    connector: TlsConnector,
    server: ServerName<'static>,
}

impl Tls {
    /// Trusts the certificates in the file `roots`, for the server called `name`.
    pub(crate) fn new(roots: &Path, name: &str) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let mut trusted = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(roots)? {
            trusted.add(certificate?)?;
        }
        if trusted.is_empty() {
            return Err(format!("{} holds no certificate", roots.display()).into());
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = config.with_root_certificates(trusted).with_no_client_auth();
        let server = ServerName::try_from(name.to_owned())?;
        Ok(Tls { connector: TlsConnector::from(Arc::new(config)), server })
    }
}

impl TlsConnect<TcpStream> for Tls {
    type Stream = Secret;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Secret>>;

    fn connect(self, stream: TcpStream) -> Self::Future {
        Box::pin(async move { self.connector.connect(self.server, stream).await.map(Secret) })
    }
}

/// A connection that nobody else reads.
pub(crate) struct Secret(tokio_rustls::client::TlsStream<TcpStream>);

impl TlsStream for Secret {
    /// A password is proved without it, too; the certificate is checked.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Secret {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

impl AsyncWrite for Secret {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, from)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
