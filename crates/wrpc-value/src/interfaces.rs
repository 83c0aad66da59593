//! What files of WIT declare, by name.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use wit_parser::{FunctionKind, Resolve, SourceMap, UnresolvedPackageGroup, WorldItem, WorldKey};

use crate::function::Function;
use crate::shape::{Field, Reducer, Types};
use crate::source::Source;

/// Brackets within brackets beyond this can't be meant: WIT's parser is recursive.
const BRACKETS_MAX: usize = 100;
/// So many names stand in an error.
const NAMES_MAX: usize = 8;

/// The functions that files of WIT declare, in interfaces and in worlds.
#[derive(Clone, Debug)]
pub struct Interfaces {
    types: Arc<Types>,
    /// By their names, `NAMESPACE:PACKAGE/INTERFACE@VERSION.FUNCTION`. One that can't be
    /// called over wRPC is the reason why.
    functions: BTreeMap<String, Result<Function, String>>,
}

impl Interfaces {
    /// Those in a file, or in a folder with its dependencies in `deps`.
    pub fn read(path: &Path) -> Result<Self, String> {
        Self::parse(&Source::read(path)?)
    }

    /// Those in these files. One that isn't of a dependency belongs to the package.
    pub fn parse(sources: &[Source]) -> Result<Self, String> {
        let mut package = SourceMap::default();
        let mut dependencies = BTreeMap::<&str, SourceMap>::new();
        for source in sources {
            if brackets(&source.text) > BRACKETS_MAX {
                let path = &source.path;
                return Err(format!(
                    "{path}: types within types, more than {BRACKETS_MAX}, can't be sent"
                ));
            }
            let map = match source.dependency() {
                Some(name) => dependencies.entry(name).or_default(),
                None => &mut package,
            };
            map.push_str(&source.path, source.text.as_str());
        }
        let mut resolve = Resolve::new();
        resolve.all_features = true;
        let package = parsed(package)?;
        let dependencies = dependencies.into_values().map(parsed);
        let dependencies = dependencies.collect::<Result<Vec<_>, _>>()?;
        if let Err(error) = resolve.push_groups(package, dependencies) {
            return Err(error.render(&resolve.source_map));
        }
        Ok(Self::of(&resolve))
    }

    fn of(resolve: &Resolve) -> Self {
        let mut found = Found {
            reducer: Reducer::new(resolve),
            functions: BTreeMap::new(),
        };
        for (_, package) in &resolve.packages {
            for (name, &interface) in &package.interfaces {
                let instance = package.name.interface_id(name);
                for function in resolve.interfaces[interface].functions.values() {
                    found.add(&instance, function);
                }
            }
        }
        for (_, world) in &resolve.worlds {
            for (key, item) in &world.exports {
                match (key, item) {
                    (_, WorldItem::Function(function)) => found.add("", function),
                    (WorldKey::Name(name), WorldItem::Interface { id, .. }) => {
                        for function in resolve.interfaces[*id].functions.values() {
                            found.add(name, function);
                        }
                    }
                    _ => {}
                }
            }
        }
        let types = Arc::new(found.reducer.types);
        let functions = found.functions.into_iter().map(|(name, declared)| {
            let function = declared.map(|declared| declared.with(&types));
            (name, function)
        });
        Self {
            functions: functions.collect(),
            types,
        }
    }

    /// The function of that name: `NAMESPACE:PACKAGE/INTERFACE@VERSION.FUNCTION`, with a `#`
    /// in place of the last dot if you like. The version may be left out if there is one.
    pub fn function(&self, name: &str) -> Result<&Function, String> {
        let wanted = match name.rsplit_once('#') {
            Some((instance, function)) => format!("{instance}.{function}"),
            None => name.to_owned(),
        };
        let found = match self.functions.get_key_value(&wanted) {
            Some(found) => found,
            None => {
                let mut versions = self.functions.iter();
                let mut versions = versions
                    .by_ref()
                    .filter(|(known, _)| without_version(known) == wanted);
                match (versions.next(), versions.next()) {
                    (Some(found), None) => found,
                    (Some((one, _)), Some((other, _))) => {
                        return Err(format!("{name:?} is {one} or {other}: write the version"));
                    }
                    (None, _) => return Err(self.unknown(name)),
                }
            }
        };
        match found {
            (_, Ok(function)) => Ok(function),
            (name, Err(reason)) => Err(format!("{name} can't be called: {reason}")),
        }
    }

    /// The names of the functions, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().map(String::as_str)
    }

    fn unknown(&self, name: &str) -> String {
        let last = |name: &str| {
            name.rsplit(['.', '#'])
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        let wanted = last(name);
        // Those that are named alike, if there are any.
        let alike: Vec<_> = self.names().filter(|known| last(known) == wanted).collect();
        let known = match alike.is_empty() {
            true => self.names().collect(),
            false => alike,
        };
        let mut listed = known[..known.len().min(NAMES_MAX)].join(", ");
        if known.len() > NAMES_MAX {
            listed.push_str(&format!(" and {} more", known.len() - NAMES_MAX));
        }
        match listed.is_empty() {
            true => format!("{name:?} isn't declared: the WIT has no functions"),
            false => format!("{name:?} isn't declared: the WIT has {listed}"),
        }
    }
}

/// The table of types, and the functions whose types stand in it.
impl Serialize for Interfaces {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(2))?;
        map.serialize_entry("types", &*self.types)?;
        map.serialize_entry("functions", &self.functions)?;
        map.end()
    }
}

struct Found<'r> {
    reducer: Reducer<'r>,
    functions: BTreeMap<String, Result<Declared, String>>,
}

/// A function without its table of types.
struct Declared {
    instance: String,
    name: String,
    params: Vec<Field>,
    result: Option<crate::TypeIndex>,
}

impl Declared {
    fn with(self, types: &Arc<Types>) -> Function {
        Function::new(self.instance, self.name, self.params, self.result, types)
    }
}

impl Found<'_> {
    fn add(&mut self, instance: &str, function: &wit_parser::Function) {
        let name = match instance.is_empty() {
            true => function.name.clone(),
            false => format!("{instance}.{}", function.name),
        };
        let declared = self.declared(instance, function);
        self.functions.insert(name, declared);
    }

    fn declared(
        &mut self,
        instance: &str,
        function: &wit_parser::Function,
    ) -> Result<Declared, String> {
        if !matches!(
            function.kind,
            FunctionKind::Freestanding | FunctionKind::AsyncFreestanding
        ) {
            return Err("it is one of a resource".to_owned());
        }
        let params = function.params.iter().map(|param| {
            let of = self.reducer.reduce(param.ty);
            let of = of.map_err(|reason| format!("parameter `{}`: {reason}", param.name));
            of.map(|of| Field {
                name: param.name.clone(),
                of,
            })
        });
        let params = params.collect::<Result<_, _>>()?;
        let result = function
            .result
            .map(|ty| self.reducer.reduce(ty))
            .transpose();
        Ok(Declared {
            instance: instance.to_owned(),
            name: function.name.clone(),
            params,
            result: result.map_err(|reason| format!("its result: {reason}"))?,
        })
    }
}

fn parsed(map: SourceMap) -> Result<UnresolvedPackageGroup, String> {
    map.parse().map_err(|(map, error)| error.render(&map))
}

/// How deep brackets stand within brackets, comments and arrows aside.
fn brackets(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut depth, mut deepest, mut comments) = (0, 0usize, 0, 0usize);
    while let Some(&byte) = bytes.get(at) {
        let next = bytes.get(at + 1);
        at += match (byte, next, comments) {
            (b'/', Some(b'*'), _) => {
                comments += 1;
                2
            }
            (b'*', Some(b'/'), 1..) => {
                comments -= 1;
                2
            }
            (_, _, 1..) => 1,
            (b'/', Some(b'/'), 0) => {
                let line = bytes[at..].iter().take_while(|&&byte| byte != b'\n');
                line.count()
            }
            (b'-', Some(b'>'), 0) => 2,
            (b'<' | b'{' | b'(', _, 0) => {
                depth += 1;
                deepest = deepest.max(depth);
                1
            }
            (b'>' | b'}' | b')', _, 0) => {
                depth = depth.saturating_sub(1);
                1
            }
            _ => 1,
        };
    }
    deepest
}

/// The name of a function without the version of its package.
fn without_version(name: &str) -> String {
    match (name.split_once('@'), name.rsplit_once('.')) {
        (Some((interface, _)), Some((_, function))) => format!("{interface}.{function}"),
        _ => name.to_owned(),
    }
}
