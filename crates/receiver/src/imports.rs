//! Imports of the component that aren't WASI. They are called over wRPC under the import
//! prefix.

use bytes::Bytes;
use encarno_wrpc::Headers;
use encarno_wrpc::nats::{Connection, subject};
use encarno_wrpc::value::Reader;
use wasmtime::StoreContextMut;
use wasmtime::component::types::ComponentFunc;
use wasmtime::component::{Linker, Val};

use crate::codec::val;
use crate::exports::Function;
use crate::guest::Guest;

/// How many times the memory of their encoding dynamic values take.
const DYNAMIC_FACTOR: usize = 40;

/// The most bytes of an import's results.
const RESULT_BYTES_MAX: usize = 8 << 20;

/// A call to an import failed; the guest traps with this message.
#[derive(Debug, thiserror::Error)]
#[error("the import {function} failed: {reason}")]
pub(crate) struct ImportFailed {
    function: String,
    reason: String,
}

/// Defines the imports in the linker.
pub(crate) fn link(
    linker: &mut Linker<Guest>,
    connection: &Connection,
    prefix: &str,
    imports: &[Function],
) -> wasmtime::Result<()> {
    for import in imports {
        let import_subject = subject::function(prefix, &import.instance, &import.name)?;
        let mut instance = match import.instance.as_str() {
            "" => linker.root(),
            name => linker.instance(name)?,
        };
        let connection = connection.clone();
        instance.func_new_async(&import.name, move |mut store, ty, params, results| {
            let (connection, import_subject) = (connection.clone(), import_subject.clone());
            let deadline = store.data().deadline;
            let headers = headers(store.data().traceparent.as_deref());
            Box::new(async move {
                let name = import_subject.to_string();
                let called = async {
                    let encoded = encode_params(&ty, params).map_err(|error| error.to_string())?;
                    let params_bytes = encoded.len().saturating_mul(DYNAMIC_FACTOR);
                    hold(&mut store, params_bytes)?;
                    let outcome = connection
                        .call_with_headers(import_subject, encoded, &headers, deadline)
                        .await;
                    let encoded = outcome
                        .result
                        .map_err(|error| format!("{}: {error}", error.code))?;
                    let results_bytes = encoded.len().saturating_mul(DYNAMIC_FACTOR);
                    hold(&mut store, params_bytes.saturating_add(results_bytes))?;
                    decode_results(&ty, &encoded, results)
                };
                called.await.map_err(|reason| {
                    let function = name;
                    ImportFailed { function, reason }.into()
                })
            })
        })?;
    }
    Ok(())
}

/// The calls of a guest belong to the trace of its own call.
fn headers(traceparent: Option<&str>) -> Headers {
    let mut headers = Headers::default();
    if let Some(traceparent) = traceparent
        && let Err(error) = headers.add("traceparent", traceparent)
    {
        tracing::debug!("a call goes on without its trace: {error}");
    }
    headers
}

/// Reserves a call's memory on the host. It is kept until the next call, because the
/// results go into the guest's memory after this.
fn hold(store: &mut StoreContextMut<'_, Guest>, bytes: usize) -> Result<(), String> {
    let memory = &mut store.data_mut().memory;
    match memory.keep_for_import(bytes) {
        true => Ok(()),
        false => Err("there is no memory left for its values".to_owned()),
    }
}

fn encode_params(ty: &ComponentFunc, params: &[Val]) -> wasmtime::Result<Bytes> {
    let mut encoded = Vec::new();
    for (value, (_, ty)) in params.iter().zip(ty.params()) {
        val::encode(value, &ty, &mut encoded)?;
    }
    Ok(encoded.into())
}

fn decode_results(ty: &ComponentFunc, encoded: &[u8], results: &mut [Val]) -> Result<(), String> {
    if encoded.len() > RESULT_BYTES_MAX {
        return Err(format!(
            "the result is larger than {} MiB",
            RESULT_BYTES_MAX >> 20
        ));
    }
    let invalid = |error: &dyn std::fmt::Display| format!("the result can't be decoded: {error}");
    let mut reader = Reader::new(encoded);
    for (result, ty) in results.iter_mut().zip(ty.results()) {
        *result = val::decode(&ty, &mut reader).map_err(|error| invalid(&error))?;
    }
    reader.finish().map_err(|error| invalid(&error))
}
