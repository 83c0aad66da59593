//! The needs of a component's instances, read from its bytes. The pool is made before the
//! component is compiled, and compiling twice would take twice the time.

use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind,
    ComponentTypeRef, Instance, Parser, Payload,
};

/// The numbers of memories and tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    pub(crate) memories: u32,
    pub(crate) tables: u32,
}

impl Needs {
    /// The needs of an instance of this component; `None` if the bytes don't show them,
    /// or aren't a component.
    pub(crate) fn of(wasm: &[u8]) -> Option<Self> {
        let mut open: Vec<Frame> = Vec::new();
        for payload in Parser::new(0).parse_all(wasm) {
            match payload.ok()? {
                Payload::Version { encoding, .. } => open.push(match encoding {
                    wasmparser::Encoding::Module => Frame::Module(Self::default()),
                    wasmparser::Encoding::Component => Frame::Component(Scope::default()),
                }),
                Payload::End(_) => {
                    let ended = open.pop()?;
                    match (open.last_mut(), ended) {
                        (None, Frame::Component(scope)) => return scope.needs,
                        (Some(Frame::Component(outer)), Frame::Module(needs)) => {
                            outer.modules.push(Some(needs));
                        }
                        (Some(Frame::Component(outer)), Frame::Component(inner)) => {
                            outer.components.push(inner.needs);
                        }
                        _ => return None,
                    }
                }
                payload => read(payload, &mut open)?,
            }
        }
        None
    }

    fn plus(self, other: Self) -> Self {
        Self {
            memories: self.memories.saturating_add(other.memories),
            tables: self.tables.saturating_add(other.tables),
        }
    }
}

/// A module or component that is being read.
enum Frame {
    Module(Needs),
    Component(Scope),
}

/// The parts that a component has defined so far. `None` means that the needs of a part
/// aren't known.
struct Scope {
    modules: Vec<Option<Needs>>,
    components: Vec<Option<Needs>>,
    /// The needs of all that it instantiates.
    needs: Option<Needs>,
}

impl Default for Scope {
    fn default() -> Self {
        Self {
            modules: Vec::new(),
            components: Vec::new(),
            needs: Some(Needs::default()),
        }
    }
}

impl Scope {
    fn instantiate(&mut self, needs: Option<Needs>) {
        self.needs = self.needs.zip(needs).map(|(own, more)| own.plus(more));
    }
}

fn read(payload: Payload<'_>, open: &mut [Frame]) -> Option<()> {
    let (innermost, outer) = open.split_last_mut()?;
    match innermost {
        Frame::Module(needs) => {
            match payload {
                Payload::MemorySection(memories) => needs.memories += memories.count(),
                Payload::TableSection(tables) => needs.tables += tables.count(),
                _ => {}
            }
            Some(())
        }
        Frame::Component(scope) => read_in_component(payload, scope, outer),
    }
}

fn read_in_component(payload: Payload<'_>, scope: &mut Scope, outer: &[Frame]) -> Option<()> {
    let at = |all: &[Option<Needs>], index: u32| all.get(index as usize).copied();
    match payload {
        Payload::InstanceSection(instances) => {
            for instance in instances {
                if let Instance::Instantiate { module_index, .. } = instance.ok()? {
                    scope.instantiate(at(&scope.modules, module_index)?);
                }
            }
        }
        Payload::ComponentInstanceSection(instances) => {
            for instance in instances {
                if let ComponentInstance::Instantiate {
                    component_index, ..
                } = instance.ok()?
                {
                    scope.instantiate(at(&scope.components, component_index)?);
                }
            }
        }
        Payload::ComponentImportSection(imports) => {
            for import in imports {
                match import.ok()?.ty {
                    ComponentTypeRef::Module(_) => scope.modules.push(None),
                    ComponentTypeRef::Component(_) => scope.components.push(None),
                    _ => {}
                }
            }
        }
        Payload::ComponentAliasSection(aliases) => {
            for alias in aliases {
                match alias.ok()? {
                    ComponentAlias::InstanceExport { kind, .. } => match kind {
                        ComponentExternalKind::Module => scope.modules.push(None),
                        ComponentExternalKind::Component => scope.components.push(None),
                        _ => {}
                    },
                    ComponentAlias::Outer { kind, count, index } => {
                        let of_outer = |scope: &Scope| match kind {
                            ComponentOuterAliasKind::CoreModule => at(&scope.modules, index),
                            _ => at(&scope.components, index),
                        };
                        let named =
                            match count.checked_sub(1) {
                                None => of_outer(scope),
                                Some(above) => {
                                    outer.iter().rev().nth(above as usize).and_then(|frame| {
                                        match frame {
                                            Frame::Component(scope) => of_outer(scope),
                                            Frame::Module(_) => None,
                                        }
                                    })
                                }
                            };
                        match kind {
                            ComponentOuterAliasKind::CoreModule => scope.modules.push(named?),
                            ComponentOuterAliasKind::Component => scope.components.push(named?),
                            _ => {}
                        }
                    }
                    _ => {}
                }
            }
        }
        Payload::ComponentExportSection(exports) => {
            // An export is another name of the same thing.
            for export in exports {
                let export = export.ok()?;
                match export.kind {
                    ComponentExternalKind::Module => {
                        scope.modules.push(at(&scope.modules, export.index)?);
                    }
                    ComponentExternalKind::Component => {
                        scope.components.push(at(&scope.components, export.index)?);
                    }
                    _ => {}
                }
            }
        }
        _ => {}
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use wasmtime::component::Component;
    use wasmtime::{Config, Engine};

    use super::Needs;

    /// The results must equal what wasmtime says after it has compiled the component.
    #[test]
    fn what_is_read_is_what_wasmtime_finds() {
        let engine = Engine::new(&Config::new()).expect("an engine");
        for (memories, tables, text) in [
            (0, 0, "(component)"),
            (
                1,
                0,
                "(component (core module $m (memory 1)) (core instance (instantiate $m)))",
            ),
            // Defined and not instantiated; instantiated twice.
            (
                0,
                0,
                "(component (core module $m (memory 1) (table 1 funcref)))",
            ),
            (
                2,
                4,
                "(component (core module $m (memory 1) (table 1 funcref) (table 2 funcref))
                   (core instance (instantiate $m)) (core instance (instantiate $m)))",
            ),
            // It is imported from another module, and needs nothing of its own.
            (
                1,
                1,
                r#"(component
                   (core module $a (memory (export "m") 1) (table (export "t") 1 funcref))
                   (core module $b (import "a" "m" (memory 1)) (import "a" "t" (table 1 funcref)))
                   (core instance $i (instantiate $a))
                   (core instance (instantiate $b (with "a" (instance $i)))))"#,
            ),
            // Components within components; one of them imports its module.
            (
                3,
                3,
                "(component $outer
                   (core module $m (memory 1) (table 1 funcref))
                   (component $inner
                     (alias outer $outer $m (core module $n))
                     (core instance (instantiate $n)))
                   (core instance (instantiate $m))
                   (instance (instantiate $inner)) (instance (instantiate $inner)))",
            ),
        ] {
            let wasm = wat::parse_str(text).expect(text);
            let expected = Needs { memories, tables };
            assert_eq!(Needs::of(&wasm), Some(expected), "{text}");
            let component = Component::from_binary(&engine, &wasm).expect(text);
            let found = component.resources_required().expect(text);
            assert_eq!(
                (found.num_memories, found.num_tables),
                (memories, tables),
                "{text}"
            );
        }
        for none in [&b""[..], b"(component)", b"\0asm\x01\0\0\0"] {
            assert_eq!(Needs::of(none), None);
        }
    }
}
