//! The exports and imports of a component that concern wRPC.

use encarno_wrpc::http::{self, Message, RequestHead};
use encarno_wrpc::value::DecodeError;
use wasmtime::component::Component;
use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::error::Context as _;
use wasmtime::{Engine, Result, bail, format_err};

use crate::codec::Shape;

/// A function that is exported or imported.
pub(crate) struct Function {
    /// Its instance; empty for a function of the component itself.
    pub(crate) instance: String,
    /// Its name.
    pub(crate) name: String,
    /// How it is called.
    pub(crate) kind: Kind,
}

/// How a function is called.
#[derive(Clone)]
pub(crate) enum Kind {
    /// With values; this is the shape of all parameters together.
    Values(Shape),
    /// With an HTTP request; this is the name of the instance in the component.
    Http(String),
}

impl Function {
    /// `INSTANCE.NAME`, as in its subject.
    pub(crate) fn path(&self) -> String {
        match self.instance.as_str() {
            "" => self.name.clone(),
            instance => format!("{instance}.{}", self.name),
        }
    }
}

impl Kind {
    /// Checks parameters, as [`encarno_wrpc::serve::Check`] does.
    pub(crate) fn check(&self, params: &[u8]) -> std::result::Result<(), DecodeError> {
        match self {
            Self::Values(shape) => shape.check(params),
            Self::Http(_) => Message::<RequestHead>::check(params),
        }
    }
}

/// The exports and imports of a component.
pub(crate) struct Interface {
    /// The exports, at least one.
    pub(crate) exports: Vec<Function>,
    /// The imports, without those of WASI.
    pub(crate) imports: Vec<Function>,
}

/// The packages whose interfaces the host provides itself.
const WASI: [&str; 7] = [
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:filesystem/",
    "wasi:http/",
    "wasi:io/",
    "wasi:random/",
    "wasi:sockets/",
];

/// The interface of components that handle HTTP requests, without the last part of its
/// version.
const HTTP_HANDLER: &str = "wasi:http/incoming-handler@0.2.";

impl Interface {
    /// Reads the type of a component. Exports with resources, streams or futures, which
    /// wRPC can't serve, are left out. Imports that can't be called are an error, and so
    /// are those of WASI that the host doesn't provide, unless `calls` names their
    /// package.
    pub(crate) fn of(engine: &Engine, component: &Component, calls: &[String]) -> Result<Self> {
        let ty = component.component_type();
        let (mut exports, mut left_out) = (Vec::new(), Vec::new());
        for (name, item) in ty.exports(engine) {
            if name.starts_with(HTTP_HANDLER) {
                exports.push(Function {
                    instance: http::INSTANCE.into(),
                    name: http::FUNCTION.into(),
                    kind: Kind::Http(name.into()),
                });
                continue;
            }
            collect(engine, name, item.ty, |function| match function {
                Ok(function) => exports.push(function),
                Err(error) => {
                    left_out.push(error.context(format!("cannot serve the export `{name}`")))
                }
            });
        }
        if exports.is_empty() {
            return Err(match left_out.into_iter().next() {
                Some(error) => error,
                None => format_err!("the component exports no function"),
            });
        }
        for error in left_out {
            tracing::warn!("{error:#}: it is left out, and the others are served");
        }
        let mut imports = Vec::new();
        for (name, item) in ty.imports(engine) {
            if WASI.iter().any(|package| name.starts_with(package)) {
                continue;
            }
            let package = name.split(['/', '@']).next().unwrap_or(name);
            if package.starts_with("wasi:") && !calls.iter().any(|call| call == package) {
                bail!(
                    "cannot provide the import `{name}`: the host doesn't have it, and it isn't \
                     called (over NATS, `--call {package}` calls it)"
                );
            }
            let mut refused = None;
            collect(engine, name, item.ty, |function| match function {
                Ok(function) => imports.push(function),
                Err(error) => refused = refused.take().or(Some(error)),
            });
            if let Some(error) = refused {
                return Err(error.context(format!("cannot provide the import `{name}`")));
            }
        }
        Ok(Self { exports, imports })
    }
}

/// Gives the functions of an export or import to `take`, or the reason why they can't be
/// called.
fn collect(
    engine: &Engine,
    name: &str,
    item: ComponentItem,
    mut take: impl FnMut(Result<Function>),
) {
    match item {
        ComponentItem::ComponentFunc(ty) => take(function("", name, &ty)),
        ComponentItem::ComponentInstance(instance) => {
            for (inner, item) in instance.exports(engine) {
                match item.ty {
                    ComponentItem::ComponentFunc(ty) => take(function(name, inner, &ty)),
                    // A resource matters only if a function takes or returns it.
                    ComponentItem::Type(_) | ComponentItem::Resource(_) => {}
                    _ => take(Err(format_err!(
                        "`{inner}` is neither a function nor a type"
                    ))),
                }
            }
        }
        ComponentItem::Type(_) | ComponentItem::Resource(_) => {}
        _ => take(Err(format_err!(
            "it is neither a function, nor an instance, nor a type"
        ))),
    }
}

fn function(instance: &str, name: &str, ty: &ComponentFunc) -> Result<Function> {
    let params = ty
        .params()
        .map(|(param, ty)| {
            Shape::of(&ty).with_context(|| format!("function `{name}`: parameter `{param}`"))
        })
        .collect::<Result<_>>()?;
    for result in ty.results() {
        Shape::of(&result).with_context(|| format!("function `{name}`: the result"))?;
    }
    Ok(Function {
        instance: instance.to_owned(),
        name: name.to_owned(),
        kind: Kind::Values(Shape::Fields(params)),
    })
}
