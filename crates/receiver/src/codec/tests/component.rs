//! Components as text, for a given type.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::strategy::{Core, Ty};

/// How a guest wants its strings.
#[derive(Clone, Copy, Debug)]
pub(super) enum Encoding {
    Utf8,
    Utf16,
    CompactUtf16,
}

pub(super) fn encoding() -> impl Strategy<Value = Encoding> {
    prop_oneof![
        Just(Encoding::Utf8),
        Just(Encoding::Utf16),
        Just(Encoding::CompactUtf16)
    ]
}

impl Encoding {
    fn option(self) -> &'static str {
        match self {
            Self::Utf8 => "string-encoding=utf8",
            Self::Utf16 => "string-encoding=utf16",
            Self::CompactUtf16 => "string-encoding=latin1+utf16",
        }
    }
}

/// An allocator that only moves on, and grows its memory.
const LIBC: &str = r#"
  (core module $Libc
    (memory (export "memory") 1)
    (global $next (mut i32) (i32.const 16))
    (func (export "realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and
        (i32.add (global.get $next) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
      (global.set $next (i32.add (local.get $at) (local.get $size)))
      (block $grown
        (loop $grow
          (br_if $grown (i32.le_u (global.get $next) (i32.mul (memory.size) (i32.const 65536))))
          (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then (unreachable)))
          (br $grow)))
      (memory.copy (local.get $at) (local.get $old)
        (select (local.get $old_size) (local.get $size)
          (i32.lt_u (local.get $old_size) (local.get $size))))
      (local.get $at)))
  (core instance $libc (instantiate $Libc))"#;

/// Types of the component-model's text: those with names of their own are
/// imported, since a function can't otherwise mention them.
struct Types {
    text: String,
    count: usize,
}

impl Types {
    fn name(&mut self, definition: String) -> String {
        let number = self.count;
        self.count += 1;
        let _ = write!(
            self.text,
            "\n  (type $d{number} {definition})\n  (import \"t{number}\" (type $t{number} (eq $d{number})))"
        );
        format!("$t{number}")
    }

    fn text(&mut self, ty: &Ty) -> String {
        match ty {
            Ty::Bool => "bool".into(),
            Ty::U8 => "u8".into(),
            Ty::S8 => "s8".into(),
            Ty::U16 => "u16".into(),
            Ty::S16 => "s16".into(),
            Ty::U32 => "u32".into(),
            Ty::S32 => "s32".into(),
            Ty::U64 => "u64".into(),
            Ty::S64 => "s64".into(),
            Ty::F32 => "f32".into(),
            Ty::F64 => "f64".into(),
            Ty::Char => "char".into(),
            Ty::String => "string".into(),
            Ty::List(element) => format!("(list {})", self.text(element)),
            Ty::Option(some) => format!("(option {})", self.text(some)),
            Ty::Tuple(types) => {
                let types: Vec<_> = types.iter().map(|ty| self.text(ty)).collect();
                format!("(tuple {})", types.join(" "))
            }
            Ty::Result(ok, err) => {
                let ok = ok.as_ref().map_or(String::new(), |ty| self.text(ty));
                let err =
                    (err.as_ref()).map_or(String::new(), |ty| format!("(error {})", self.text(ty)));
                format!("(result {ok} {err})")
            }
            Ty::Record(types) => {
                let mut fields = String::new();
                for (index, ty) in types.iter().enumerate() {
                    let ty = self.text(ty);
                    let _ = write!(fields, " (field \"f{index}\" {ty})");
                }
                self.name(format!("(record {fields})"))
            }
            Ty::Variant(types) => {
                let mut cases = String::new();
                for (index, ty) in types.iter().enumerate() {
                    let ty = ty.as_ref().map_or(String::new(), |ty| self.text(ty));
                    let _ = write!(cases, " (case \"c{index}\" {ty})");
                }
                self.name(format!("(variant {cases})"))
            }
            Ty::Enum(count) => {
                let cases: String = (0..*count).map(|index| format!(" \"c{index}\"")).collect();
                self.name(format!("(enum {cases})"))
            }
            Ty::Flags(count) => {
                let flags: String = (0..*count).map(|index| format!(" \"b{index}\"")).collect();
                self.name(format!("(flags {flags})"))
            }
        }
    }
}

fn core(types: &[Core]) -> String {
    let names = types.iter().map(|core| match core {
        Core::I32 => " i32",
        Core::I64 => " i64",
        Core::F32 => " f32",
        Core::F64 => " f64",
    });
    names.collect()
}

/// Imports `f: func(x: T) -> T` and exports `echo: func(x: T) -> T`, which calls it.
pub(super) fn echo(ty: &Ty, encoding: Encoding) -> String {
    let mut types = Types {
        text: String::new(),
        count: 0,
    };
    let name = types.text(ty);
    let flat = ty.flat();
    let params = if flat.len() > 16 {
        &[Core::I32][..]
    } else {
        &flat
    };
    let (core_params, gets) = (
        core(params),
        (0..params.len())
            .map(|index| format!(" (local.get {index})"))
            .collect::<String>(),
    );
    let (import_signature, echo_result, body) = if flat.len() == 1 {
        let result = core(&flat);
        (
            format!("(param {core_params}) (result {result})"),
            result,
            format!("(call $f {gets})"),
        )
    } else {
        let (align, size) = ty.layout();
        let result = params.len();
        (
            format!("(param {core_params} i32)"),
            "i32".to_owned(),
            format!(
                "(local i32)
      (local.set {result} (call $realloc (i32.const 0) (i32.const 0) (i32.const {align}) (i32.const {size})))
      (call $f {gets} (local.get {result}))
      (local.get {result})"
            ),
        )
    };
    let options = encoding.option();
    format!(
        r#"(component{types}
  (import "f" (func $f (param "x" {name}) (result {name}))){LIBC}
  (core func $lowered (canon lower (func $f) (memory (core memory $libc "memory")) (realloc (core func $libc "realloc")) {options}))
  (core module $Main
    (import "host" "f" (func $f {import_signature}))
    (import "libc" "realloc" (func $realloc (param i32 i32 i32 i32) (result i32)))
    (func (export "echo") (param {core_params}) (result {echo_result})
      {body}))
  (core instance $main (instantiate $Main
    (with "host" (instance (export "f" (func $lowered))))
    (with "libc" (instance $libc))))
  (func $echo (param "x" {name}) (result {name})
    (canon lift (core func $main "echo") (memory (core memory $libc "memory")) (realloc (core func $libc "realloc")) {options}))
  (export "echo" (func $echo)))"#,
        types = types.text,
    )
}

/// Exports `lie: func(at: u32) -> T`, which says that its result is at `at`.
pub(super) fn liar(ty: &Ty, encoding: Encoding, memory: &[u8]) -> String {
    let mut types = Types {
        text: String::new(),
        count: 0,
    };
    let name = types.text(ty);
    let data: String = memory.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let options = encoding.option();
    format!(
        r#"(component{types}
  (core module $Main
    (memory (export "memory") 1)
    (data (i32.const 0) "{data}")
    (func (export "lie") (param i32) (result i32) (local.get 0)))
  (core instance $main (instantiate $Main))
  (func $lie (param "at" u32) (result {name})
    (canon lift (core func $main "lie") (memory (core memory $main "memory")) {options}))
  (export "lie" (func $lie)))"#,
        types = types.text,
    )
}

/// Exports `value: func() -> T`, whose core function returns that i32.
pub(super) fn constant(ty: &Ty, bits: u32) -> String {
    single(ty, |name| {
        format!(
            r#"(core module $Main (func (export "f") (result i32) (i32.const {bits})))
  (core instance $main (instantiate $Main))
  (func $f (result {name}) (canon lift (core func $main "f")))"#
        )
    })
}

/// Exports `f: func(x: T) -> s64`, which returns the i32 that it was given.
pub(super) fn widened(ty: &Ty) -> String {
    single(ty, |name| {
        format!(
            r#"(core module $Main
    (func (export "f") (param i32) (result i64) (i64.extend_i32_s (local.get 0))))
  (core instance $main (instantiate $Main))
  (func $f (param "x" {name}) (result s64) (canon lift (core func $main "f")))"#
        )
    })
}

fn single(ty: &Ty, body: impl FnOnce(&str) -> String) -> String {
    let mut types = Types {
        text: String::new(),
        count: 0,
    };
    let name = types.text(ty);
    let body = body(&name);
    format!(
        "(component{}\n  {body}\n  (export \"f\" (func $f)))",
        types.text
    )
}
