//! Parameters and results as wasmtime's typed calls see them: bytes of the wire, for all
//! signatures.
//!
//! wasmtime calls [`Lower`] and [`Lift`] with the type that the component
//! itself declares, so one pair of Rust types serves every signature, without
//! [`wasmtime::component::Val`] and its allocation for each byte.
//!
//! The traits are `unsafe` because wasmtime trusts them with the slots that carry core
//! wasm values. Only this module, `cache` and `allocator` may contain `unsafe`; the walks
//! themselves, in [`lower`] and [`lift`], are safe code.

#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::sync::Mutex;

use bytes::Bytes;
use wasmtime::component::__internal::{
    CanonicalAbiInfo, InstanceType, InterfaceType, LiftContext, LowerContext, wasmtime_environ,
};
use wasmtime::component::{ComponentNamedList, ComponentType, Lift, Lower};
use wasmtime::{Result, ValRaw, bail};

use super::lift::{self, Results};
use super::lower;

/// The version of wasmtime for which this module and the ones beside it were written.
/// They use hidden parts of wasmtime, which may change with each patch.
const WASMTIME: &str = "48.0.8";

const _: () = assert!(
    is_same(wasmtime_environ::VERSION, WASMTIME),
    "this is another wasmtime than codec::typed was written for: read what it changed in \
     `component::__internal` and in the traits that this module implements, run the tests \
     of codec, and only then change `codec::typed::WASMTIME`"
);

const fn is_same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut index = 0;
    while index < a.len() && index < b.len() {
        if a[index] != b[index] {
            return false;
        }
        index += 1;
    }
    a.len() == b.len()
}

/// Encoded parameters on their way into a guest. They are dropped when they have arrived
/// there.
pub(crate) struct Params(Mutex<Bytes>);

impl Params {
    pub(crate) fn new(encoded: impl Into<Bytes>) -> Self {
        Self(Mutex::new(encoded.into()))
    }
}

/// Parameters and results are tuples, which wasmtime passes flat here.
fn expect_tuple(ty: &InterfaceType) -> Result<()> {
    match ty {
        InterfaceType::Tuple(_) => Ok(()),
        _ => bail!("parameters and results are tuples"),
    }
}

// SAFETY: `Lower` is an array of `ValRaw` with the most parameters of a core function. No
// type check is needed beyond the tuple, because nothing is assumed about the type before
// `lower::params` walks it.
unsafe impl ComponentType for Params {
    type Lower = [ValRaw; lower::FLAT_MAX];

    // Never read: 16 slots aren't more than wasmtime passes flat.
    const ABI: CanonicalAbiInfo = CanonicalAbiInfo::POINTER_PAIR;

    fn typecheck(ty: &InterfaceType, _types: &InstanceType<'_>) -> Result<()> {
        expect_tuple(ty)
    }
}

// SAFETY: the type is a tuple, see `typecheck`.
unsafe impl ComponentNamedList for Params {}

// SAFETY: every slot is written, with the value that the component's own type
// asks for or with zero.
unsafe impl Lower for Params {
    fn linear_lower_to_flat<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        slots: &mut MaybeUninit<Self::Lower>,
    ) -> Result<()> {
        let encoded = self
            .0
            .lock()
            .map(|mut encoded| std::mem::take(&mut *encoded));
        let flat = lower::params(cx, ty, &encoded.unwrap_or_default())?;
        slots.write(flat.map(ValRaw::u64));
        Ok(())
    }

    fn linear_lower_to_memory<T>(
        &self,
        _cx: &mut LowerContext<'_, T>,
        _ty: InterfaceType,
        _offset: usize,
    ) -> Result<()> {
        bail!("parameters are lowered by the flat way only")
    }
}

// SAFETY: `Lower` is an array of `ValRaw` with the most results of a core function.
// Nothing is assumed about the type before `lift::results` walks it.
unsafe impl ComponentType for Results {
    type Lower = [ValRaw; 1];

    // Never read: one slot isn't more than wasmtime passes flat.
    const ABI: CanonicalAbiInfo = CanonicalAbiInfo::POINTER_PAIR;

    fn typecheck(ty: &InterfaceType, _types: &InstanceType<'_>) -> Result<()> {
        expect_tuple(ty)
    }
}

// SAFETY: the type is a tuple, see `typecheck`.
unsafe impl ComponentNamedList for Results {}

// SAFETY: the slot is read as the core type that the component's own type
// flattens to, and not at all where that has no result. (It is initialised
// even then: it shares its memory with the slots of the parameters.)
unsafe impl Lift for Results {
    fn linear_lift_from_flat(
        cx: &mut LiftContext<'_>,
        ty: InterfaceType,
        slots: &Self::Lower,
    ) -> Result<Self> {
        lift::results(cx, ty, &slots[0])
    }

    fn linear_lift_from_memory(
        _cx: &mut LiftContext<'_>,
        _ty: InterfaceType,
        _bytes: &[u8],
    ) -> Result<Self> {
        bail!("results are lifted by the flat way only")
    }
}
