//! The address of a cluster: starts the control plane with the first connection, and passes bytes through.
//!
//! A connection is a call `kubernetes:Connect` to the gateway's rules, and each piece that the client sends a `kubernetes:Send`,
//! so that a region that is cut off there is cut off here too: latency delays, [`Hold`](crate::gateway::Act::HoldBefore) holds,
//! every other act cuts the connection.

use std::sync::Arc;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::Inner;
use super::tls;
use crate::gateway::{BoxError, lock};

/// Accepts connections until the cluster ends.
pub(super) async fn serve(cluster: Arc<Inner>, listener: TcpListener) {
    let ended = cluster.ended.clone();
    let accept = async {
        loop {
            // A failed accept is the caller's broken connection or a full table of files; both pass.
            let Ok((stream, _)) = listener.accept().await else { continue };
            let _ = stream.set_nodelay(true);
            let cut = lock(&cluster.cut).clone();
            let (cluster, ended) = (cluster.clone(), ended.clone());
            tokio::spawn(async move {
                tokio::select! {
                    // Broken connections are everyday here.
                    _ = connection(&cluster, stream) => {}
                    () = ended.cancelled() => {}
                    () = cut.cancelled() => {}
                }
            });
        }
    };
    ended.run_until_cancelled(accept).await;
}

async fn connection(cluster: &Arc<Inner>, mut client: TcpStream) -> Result<(), BoxError> {
    if !cluster.aws.passes("Connect").await {
        return Ok(());
    }
    let address = match cluster.running().await {
        Ok(running) => running.address,
        Err(error) => {
            let message = chain(&error);
            tracing::warn!(message, cluster = cluster.prefix, "the control plane did not start");
            return unavailable(cluster, client, &message).await;
        }
    };
    let mut server = TcpStream::connect(address).await?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let up = async {
        let mut piece = vec![0; 16 << 10];
        loop {
            let length = from_client.read(&mut piece).await?;
            if length == 0 || !cluster.aws.passes("Send").await {
                return Ok(());
            }
            to_server.write_all(&piece[..length]).await?;
        }
    };
    let down = async { tokio::io::copy(&mut from_server, &mut to_client).await.map(|_| ()) };
    // When one side has ended, so has the connection: nobody speaks HTTP over half of one.
    tokio::select! {
        ended = up => ended,
        ended = down => ended,
    }
    .map_err(|error: std::io::Error| error.into())
}

/// An error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

/// Says in the words of Kubernetes why there is no control plane.
async fn unavailable(cluster: &Inner, stream: TcpStream, message: &str) -> Result<(), BoxError> {
    let identity = cluster.authority.server("kube-apiserver", &["127.0.0.1".into(), "localhost".into()])?;
    let mut stream = tls::acceptor(&identity)?.accept(stream).await?;
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < 64 << 10 {
        if stream.read_buf(&mut head).await? == 0 {
            break;
        }
    }
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 503,
        "reason": "ServiceUnavailable", "message": format!("the sandbox's control plane did not start: {message}"),
    })
    .to_string();
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{status}",
        status.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    Ok(stream.shutdown().await?)
}
