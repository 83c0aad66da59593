//! An open mailbox with its owner.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

use super::connection::Connection;
use super::mailbox::{Address, MadeCall, Mailbox};
use super::subject;
use crate::Error;
use crate::core_nats::Subject;

/// How often the receiver of an accepted call is probed. The receiver may have died, and
/// NATS doesn't report that by itself.
pub(super) const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// A mailbox that is open as long as this value lives. It is closed however a call ends,
/// also by being dropped.
pub(super) struct OpenMailbox {
    pub(super) connection: Connection,
    pub(super) address: Address,
}

impl Drop for OpenMailbox {
    fn drop(&mut self) {
        self.connection.close(self.address);
    }
}

impl OpenMailbox {
    /// Reads a call that was made; `None` if the mailbox is of another kind.
    pub(super) fn look<T>(&self, look: impl FnOnce(&mut MadeCall) -> T) -> Option<T> {
        match self.connection.mailboxes().get(self.address) {
            Some(Mailbox::Call(made)) => Some(look(made)),
            _ => None,
        }
    }

    /// Waits until `ready` returns a value for the call.
    pub(super) async fn wait<T>(&self, mut ready: impl FnMut(&mut MadeCall) -> Option<T>) -> T {
        poll_fn(|context| {
            let looked = self.look(|made| {
                let found = ready(made);
                if found.is_none() {
                    made.call.wake_by(context.waker());
                }
                found
            });
            match looked {
                Some(Some(found)) => Poll::Ready(found),
                Some(None) => Poll::Pending,
                None => unreachable!("the mailbox of a call is open as long as its owner"),
            }
        })
        .await
    }

    /// Waits for the end of a call. The end itself is in the mailbox.
    pub(super) async fn finished(&self) -> Result<(), Error> {
        let finished = self.wait(|made| made.call.is_finished().then_some(()));
        let mut finished = std::pin::pin!(finished);
        // The first probe tells a receiver that waits for more parameters that these were
        // all. Upstream's receiver keeps everything that arrives there, so later probes
        // go where it drops them.
        let mut to: fn(&str) -> Subject = subject::params;
        while tokio::time::timeout(PROBE_INTERVAL, &mut finished)
            .await
            .is_err()
        {
            self.probe_at(to).await?;
            to = subject::probe;
        }
        Ok(())
    }

    /// Probes whether the receiver of a call is alive, if its subject is known. If it is
    /// gone, the server answers to the mailbox.
    pub(super) async fn probe(&self) -> Result<(), Error> {
        self.probe_at(subject::probe).await
    }

    async fn probe_at(&self, part: fn(&str) -> Subject) -> Result<(), Error> {
        let receiver = self.look(|made| made.receiver.clone()).flatten();
        let Some(receiver) = receiver else {
            return Ok(());
        };
        let connection = &self.connection;
        let reply = subject::probe(&connection.reply_subject(self.address));
        let to = part(&receiver);
        connection
            .publish(to, Some(reply), None, Bytes::new())
            .await
    }
}
