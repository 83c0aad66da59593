//! The entry points of the fuzz targets.

use encarno_wrpc::value::Reader;
use wasmtime::component::types::Type;
use wasmtime::component::{Component, Linker};
use wasmtime::error::Context as _;
use wasmtime::{Engine, Result, Store};

use super::{Params, Results, Shape, val};

/// A component whose function `echo` returns its parameter.
pub struct Echo {
    component: Component,
    ty: Type,
    shape: Shape,
}

impl Echo {
    /// Compiles the component.
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

    /// Takes any bytes as parameters. The check, the dynamic values, and the path through
    /// a guest must agree on whether the bytes are a value, and on which one.
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
