//! The connections of a server of the sandbox.

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::gateway::BoxError;

/// Why a connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection was cut on purpose")]
pub(crate) struct Cut;

/// Accepts connections for ever, each with a handler of its own; dropping the future closes all of them.
pub(crate) async fn accept<H, A, B>(listener: TcpListener, handler: impl Fn() -> H)
where
    H: Fn(Request<Incoming>) -> A + Send + 'static,
    A: Future<Output = Result<Response<B>, Cut>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A failed accept is the caller's broken connection or a full table of files; both pass.
                let Ok((stream, _)) = accepted else { continue };
                // Answers are small and many; a call must not wait for a full packet.
                let _ = stream.set_nodelay(true);
                let service = service_fn(handler());
                connections.spawn(async move {
                    // Broken and cut connections are everyday here.
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}
