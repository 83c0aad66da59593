//! The methods of descriptors.
//!
//! - json: JSON to and from messages

mod json;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use prost_reflect::{DescriptorPool, MessageDescriptor};

/// The methods that can be called.
#[derive(Debug)]
pub struct Schema {
    pool: DescriptorPool,
    methods: Vec<Method>,
    by_path: HashMap<String, u32>,
}

/// A method.
#[derive(Clone, Debug)]
pub struct Method {
    /// `/package.Service/Method`.
    pub path: String,
    /// Whether the method takes any number of messages instead of one.
    pub takes_stream: bool,
    /// Whether the method returns any number of messages instead of one.
    pub gives_stream: bool,
    input: MessageDescriptor,
    output: MessageDescriptor,
}

/// The most names in the text of an error.
const NAMES_MAX: usize = 20;

impl Schema {
    /// Reads .proto files. Files that they import are looked for in the folders, or in the
    /// folders of the files if none are given.
    pub fn of_protos(files: &[PathBuf], folders: &[PathBuf]) -> Result<Self, String> {
        let mut includes = folders.to_vec();
        if includes.is_empty() {
            for file in files {
                let folder = match file.parent() {
                    Some(folder) if folder != Path::new("") => folder,
                    _ => Path::new("."),
                };
                if !includes.iter().any(|known| known == folder) {
                    includes.push(folder.to_path_buf());
                }
            }
        }
        let bad = |error: protox::Error| explained(&error);
        let mut compiler = protox::Compiler::new(includes).map_err(bad)?;
        compiler.include_imports(true);
        for file in files {
            if !file.is_file() {
                return Err(format!("{}: there is no such file", file.display()));
            }
            compiler.open_file(file).map_err(bad)?;
        }
        Ok(Self::new(compiler.descriptor_pool()))
    }

    /// Reads descriptor sets, which protoc and buf write.
    pub fn of_sets<'a>(
        sets: impl IntoIterator<Item = (&'a Path, Vec<u8>)>,
    ) -> Result<Self, String> {
        let mut pool = DescriptorPool::new();
        for (file, bytes) in sets {
            pool.decode_file_descriptor_set(&*bytes).map_err(|error| {
                format!(
                    "{}: it isn't a descriptor set with its imports (protoc --include_imports \
                     --descriptor_set_out=FILE): {error}",
                    file.display()
                )
            })?;
        }
        Ok(Self::new(pool))
    }

    /// Reads the descriptors of files. Each file must come after those that it imports.
    pub fn of_files(files: &[Vec<u8>]) -> Result<Self, String> {
        let mut pool = DescriptorPool::new();
        for file in files {
            pool.decode_file_descriptor_proto(&**file)
                .map_err(|error| error.to_string())?;
        }
        Ok(Self::new(pool))
    }

    fn new(pool: DescriptorPool) -> Self {
        let mut methods = Vec::new();
        for service in pool.services() {
            for method in service.methods() {
                methods.push(Method {
                    path: format!("/{}/{}", service.full_name(), method.name()),
                    takes_stream: method.is_client_streaming(),
                    gives_stream: method.is_server_streaming(),
                    input: method.input(),
                    output: method.output(),
                });
            }
        }
        let by_path = methods.iter().enumerate();
        let by_path = by_path.map(|(number, method)| (method.path.clone(), number as u32));
        Self {
            by_path: by_path.collect(),
            methods,
            pool,
        }
    }

    /// The number of the method with a path. The error lists what the schema has.
    pub fn number(&self, path: &str) -> Result<u32, String> {
        if let Some(&number) = self.by_path.get(path) {
            return Ok(number);
        }
        // Some tools write the path with a dot.
        let dotted = path
            .rsplit_once('.')
            .map(|(service, method)| format!("{service}/{method}"));
        if let Some(&number) = dotted.and_then(|path| self.by_path.get(&path)) {
            return Ok(number);
        }
        let service = path.trim_start_matches('/').split('/').next();
        let service = service.unwrap_or_default();
        if let Some(service) = self.pool.get_service_by_name(service) {
            let name = path.rsplit('/').next().unwrap_or_default();
            let names: Vec<_> = service.methods().map(|it| it.name().to_owned()).collect();
            let said = match name.is_empty() || path.matches('/').count() < 2 {
                true => format!("{} is a service: name its method, too", service.full_name()),
                false => format!("{} has no method {name}", service.full_name()),
            };
            return Err(format!("{said}; {}", there_are(name, &names)));
        }
        let names: Vec<_> = self
            .methods
            .iter()
            .map(|method| method.path[1..].to_owned())
            .collect();
        let said = match service.is_empty() {
            true => {
                "the URL names no method: write grpc://HOST:PORT/package.Service/Method".to_owned()
            }
            false => format!("there is no service {service}"),
        };
        Err(format!(
            "{said}; {}",
            there_are(path.trim_start_matches('/'), &names)
        ))
    }

    /// The method with a number.
    pub fn method(&self, number: u32) -> Option<&Method> {
        self.methods.get(number as usize)
    }

    /// Whether there are no methods.
    pub fn is_empty(&self) -> bool {
        self.methods.is_empty()
    }
}

/// A text with the known names, and the one that was probably meant.
fn there_are(wanted: &str, names: &[String]) -> String {
    let lower = wanted.to_lowercase();
    let score = |name: &&String| strsim::jaro_winkler(&lower, &name.to_lowercase());
    let close = names
        .iter()
        .map(|name| (score(&name), name))
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .filter(|(score, _)| *score > 0.8);
    let listed = match names.len() {
        0 => "there is none".to_owned(),
        count if count > NAMES_MAX => format!(
            "there are {}, … ({count} in all)",
            names[..NAMES_MAX].join(", ")
        ),
        _ => format!("there are {}", names.join(", ")),
    };
    match close {
        Some((_, name)) => format!("did you mean {name}? {listed}"),
        None => listed,
    }
}

/// The text of an error with the name of the file, which the error itself may not have.
fn explained(error: &protox::Error) -> String {
    match error.file() {
        Some(file) if !error.to_string().contains(file) => format!("{file}: {error}"),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
