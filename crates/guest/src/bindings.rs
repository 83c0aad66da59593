//! The WIT packages as types; wasmtime writes them.

#![allow(missing_docs, unreachable_pub)]

pub(crate) mod shape {
    wasmtime::component::bindgen!({
        path: "../../wit/scenario",
        world: "shape",
    });
}

pub(crate) mod choose {
    wasmtime::component::bindgen!({
        path: "../../wit/scenario",
        world: "choose",
    });
}

pub(crate) mod behave {
    wasmtime::component::bindgen!({
        path: "../../wit/scenario",
        world: "behave",
    });
}

pub(crate) mod nib {
    wasmtime::component::bindgen!({
        path: "../../wit/nib",
        world: "nib",
    });
}
