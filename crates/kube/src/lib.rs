//! Agents as pods of Kubernetes, for one run.
//!
//! A run has one Job, whose pods are the agents. The Job owns all other objects of the run:
//! the NATS server's pod with its Service and NetworkPolicy, and the Secret with the
//! credentials. Kubernetes deletes them together with the Job. All have the same two
//! labels, which [`clean`] looks for.
//!
//! - error: errors
//! - [`settings`]: what the user wants of the pods
//! - [`manifest`]: the objects, as JSON
//! - certificate: the certificate of a run's NATS server
//! - [`credentials`]: the name of a run, and the credentials of its NATS server
//! - [`states`]: what is wrong with a pod, in a sentence
//! - api: the API of Kubernetes
//! - forward: a port on this machine that leads to a pod
//! - [`clean`]: removes what was left
//! - [`pods`]: the pods of a run, from the first object to the last

mod error;

pub mod clean;
pub mod credentials;
pub mod manifest;
pub mod pods;
pub mod settings;
pub mod states;

mod api;
mod certificate;
mod forward;

pub use error::KubeError;
