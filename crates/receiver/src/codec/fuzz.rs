//! What the fuzz targets call.

use encarno_wrpc::value::Reader;
use wasmtime::component::types::Type;
use wasmtime::component::{Component, Linker};
use wasmtime::error::Context as _;
use wasmtime::{Engine, Result, Store};

use super::{Params, Results, Shape, val};

/// A component whose `echo` returns what it is given.
pub struct Echo {
    component: Component,
    ty: Type,
    shape: Shape,
}

impl Echo {
    /// Compiles it.
    pub fn new(component: &[u8]) -> Result<Self> {
        let engine = Engine::default();
        let component = Component::new(&engine, component)?;
        let mut store = Store::new(&engine, ());
        let instance = Linker::new(&engine).instantiate(&mut store, &component)?;
        let echo = instance.get_func(&mut store, "echo").context("no `echo`")?;
        let ty = echo.ty(&store).params().next().context("no parameter")?.1;
        Ok(Self {
            shape: Shape::Fields(vec![Shape::of(&ty)?].into()),
            component,
            ty,
        })
    }

    /// Any bytes as parameters: what is looked at first, the plain way and the way through
    /// a guest agree on whether they are a value, and on which.
    pub fn parameters(&self, bytes: &[u8]) -> Result<()> {
        let value = self.decode(bytes);
        assert_eq!(self.shape.check(bytes).is_ok(), value.is_ok());
        let engine = self.component.engine();
        let mut store = Store::new(engine, ());
        let instance = Linker::new(engine).instantiate(&mut store, &self.component)?;
        let echo = instance.get_func(&mut store, "echo").context("no `echo`")?;
        let echo = echo.typed::<Params, Results>(&store)?;
        let called = echo.call(
            &mut store,
            Params::new(bytes::Bytes::copy_from_slice(bytes)),
        );
        match (value, called) {
            (Ok(value), Ok(back)) => assert_eq!(self.decode(&back.encoded)?, value),
            (Err(_), Err(_)) => {}
            (value, called) => {
                let (value, called) = (value.is_ok(), called.map(|results| results.encoded));
                panic!("it is a value: {value}, and the guest's answer is {called:?}");
            }
        }
        Ok(())
    }

    /// Whether the bytes are parameters, as it is asked of what arrives.
    pub fn is_value(&self, bytes: &[u8]) -> bool {
        self.shape.check(bytes).is_ok()
    }

    fn decode(&self, bytes: &[u8]) -> Result<wasmtime::component::Val> {
        let mut reader = Reader::new(bytes);
        let value = val::decode(&self.ty, &mut reader)?;
        reader.finish()?;
        Ok(value)
    }
}
