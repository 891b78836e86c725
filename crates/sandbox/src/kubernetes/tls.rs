//! Servers of our own that speak TLS.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio_rustls::TlsAcceptor;

use super::authority::Identity;
use crate::gateway::BoxError;

/// Accepts TLS as `identity`, for HTTP/1.1.
pub(super) fn acceptor(identity: &Identity) -> Result<TlsAcceptor, BoxError> {
    Ok(TlsAcceptor::from(config(identity)?))
}

/// How [`acceptor`] does it.
pub(super) fn config(identity: &Identity) -> Result<Arc<ServerConfig>, BoxError> {
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(identity.certificate.as_bytes()).collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
