//! A port on this machine that leads to a port of a pod, through the API of Kubernetes.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::KubeError;
use crate::api::Api;

/// The most connections at a time. A coordinator has one.
const CONNECTIONS_MAX: usize = 16;

/// A forwarded port. It closes with its value.
pub(crate) struct Forward {
    pub(crate) address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Forward {
    pub(crate) async fn open(api: &Api, pod: &str, port: u16) -> Result<Self, KubeError> {
        let failed = || KubeError::of("no port for the NATS server");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.map_err(failed())?;
        let address = listener.local_addr().map_err(failed())?;
        let accepting = tokio::spawn(accept(listener, api.clone(), pod.to_owned(), port));
        Ok(Self { address, accepting })
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, api: Api, pod: String, port: u16) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let Ok((connection, _)) = listener.accept().await else {
            // Too many open files, for example. It may pass.
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        let (api, pod) = (api.clone(), pod.clone());
        tokio::spawn(async move {
            // Whoever is connected here sees the end, and connects again.
            let _ended = carry(connection, &api, &pod, port).await;
            drop(place);
        });
    }
}

async fn carry(
    mut connection: TcpStream,
    api: &Api,
    pod: &str,
    port: u16,
) -> Result<(), KubeError> {
    // NATS asks and answers in small packets.
    let _set = connection.set_nodelay(true);
    let forwarded = api.of::<Pod>().portforward(pod, &[port]).await;
    let mut forwarded =
        forwarded.map_err(|error| api.explain("create pods/portforward", &error))?;
    if let Some(mut stream) = forwarded.take_stream(port) {
        let copied = copy_bidirectional(&mut connection, &mut stream).await;
        copied.map_err(KubeError::of("the forwarded connection"))?;
    }
    Ok(())
}
