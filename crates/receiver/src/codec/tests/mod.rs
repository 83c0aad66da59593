//! The codec against wasmtime's own: random types, random values, hostile
//! bytes from both sides.
//!
//! A component passes a value of a random type to an import that the test
//! provides on dynamic values, and returns what that returns. So our lowering
//! meets wasmtime's lifting, and wasmtime's lowering our lifting.

mod component;
mod strategy;

use encarno_wrpc::value::{DecodeError, Reader};
use proptest::prelude::*;
use wasmtime::component::{Component, Linker, TypedFunc, Val};
use wasmtime::{Config, Engine, Store};

use self::component::{Encoding, echo, liar};
use self::strategy::{Ty, ty, value};
use super::{Params, Results, Shape, val};

/// A component that echoes values of one type.
struct Echo {
    store: Store<Option<Val>>,
    function: TypedFunc<Params, Results>,
    shape: Shape,
    ty: wasmtime::component::types::Type,
}

impl Echo {
    fn new(engine: &Engine, ty: &Ty, encoding: Encoding) -> Self {
        let text = echo(ty, encoding);
        let component = Component::new(engine, wat::parse_str(&text).expect(&text)).expect(&text);
        let mut linker = Linker::new(engine);
        linker
            .root()
            .func_new("f", |mut store, _, params, results| {
                results[0] = params[0].clone();
                *store.data_mut() = Some(params[0].clone());
                Ok(())
            })
            .expect("define f");
        let mut store = Store::new(engine, None);
        let instance = linker
            .instantiate(&mut store, &component)
            .expect("instance");
        let function = instance.get_func(&mut store, "echo").expect("echo");
        let (_, ty) = (function.ty(&store).params().next())
            .map(|(name, ty)| (name.to_owned(), ty))
            .expect("one parameter");
        Self {
            shape: Shape::Fields(vec![Shape::of(&ty).expect("shape")].into()),
            function: function.typed(&store).expect("typed"),
            store,
            ty,
        }
    }

    fn encode(&self, value: &Val) -> Vec<u8> {
        let mut encoded = Vec::new();
        val::encode(value, &self.ty, &mut encoded).expect("encode");
        encoded
    }

    fn decode(&self, encoded: &[u8]) -> wasmtime::Result<Val> {
        let mut reader = Reader::new(encoded);
        let value = val::decode(&self.ty, &mut reader)?;
        reader.finish()?;
        Ok(value)
    }

    /// What the import saw, and what came back.
    fn call(&mut self, encoded: &[u8]) -> wasmtime::Result<(Val, Vec<u8>)> {
        let params = Params::new(bytes::Bytes::copy_from_slice(encoded));
        let Results { encoded: back, .. } = self.function.call(&mut self.store, params)?;
        Ok((self.store.data_mut().take().expect("f was called"), back))
    }
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn ty_and_values() -> impl Strategy<Value = (Ty, Vec<Val>)> {
    ty().prop_flat_map(|ty| {
        let values = proptest::collection::vec(value(&ty), 1..6);
        (Just(ty), values)
    })
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn values_pass_through_a_guest_unchanged(
        (ty, values) in ty_and_values(),
        encoding in component::encoding(),
    ) {
        let engine = Engine::default();
        let mut echo = Echo::new(&engine, &ty, encoding);
        for value in values {
            let encoded = echo.encode(&value);
            prop_assert_eq!(echo.shape.check(&encoded), Ok(()));
            prop_assert_eq!(echo.decode(&encoded).expect("decode"), value.clone());
            let (seen, back) = echo.call(&encoded).expect("call");
            prop_assert_eq!(seen, value);
            prop_assert_eq!(back, encoded);
        }
    }

    #[test]
    fn every_beginning_of_a_value_is_truncated((ty, values) in ty_and_values()) {
        let engine = Engine::default();
        let echo = Echo::new(&engine, &ty, Encoding::Utf8);
        for value in values {
            let mut encoded = echo.encode(&value);
            for end in 0..encoded.len() {
                let checked = echo.shape.check(&encoded[..end]);
                let is_truncated = matches!(checked, Err(DecodeError::Truncated { .. }));
                prop_assert!(is_truncated, "{} of {} bytes: {:?}", end, encoded.len(), checked);
            }
            encoded.push(0);
            prop_assert_eq!(echo.shape.check(&encoded), Err(DecodeError::Trailing { left: 1 }));
        }
    }

    #[test]
    fn hostile_bytes_are_accepted_by_all_or_by_none(
        (ty, values) in ty_and_values(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let engine = Engine::default();
        let mut echo = Echo::new(&engine, &ty, Encoding::Utf8);
        for value in values {
            let mut encoded = echo.encode(&value);
            for (index, byte) in &edits {
                let at = index.index(encoded.len());
                encoded[at] = *byte;
            }
            let decoded = echo.decode(&encoded);
            prop_assert_eq!(echo.shape.check(&encoded).is_ok(), decoded.is_ok());
            match decoded {
                Ok(value) => {
                    let (seen, back) = echo.call(&encoded).expect("call");
                    prop_assert_eq!(&seen, &value);
                    prop_assert_eq!(echo.decode(&back).expect("decode"), value);
                }
                Err(_) => {
                    // A guest into which lowering failed can't be entered again.
                    prop_assert!(echo.call(&encoded).is_err());
                    echo = Echo::new(&engine, &ty, Encoding::Utf8);
                }
            }
        }
    }

    #[test]
    fn a_guest_that_lies_is_believed_as_far_as_by_wasmtime(
        ty in ty().prop_filter("lies in memory", |ty| ty.flat().len() > 1),
        memory in proptest::collection::vec(prop_oneof![Just(0u8), Just(1), 0u8..64, any::<u8>()], 256),
        pointers in proptest::collection::vec(prop_oneof![0u32..256, Just(u32::MAX), 65500u32..65540], 1..16),
        encoding in component::encoding(),
    ) {
        // The reference allocates for every byte of a list.
        let engine = Engine::new(&Config::new()).expect("engine");
        let text = liar(&ty, encoding, &memory);
        let component = Component::new(&engine, wat::parse_str(&text).expect(&text)).expect(&text);
        for pointer in pointers {
            let call_typed = || {
                let mut store = Store::new(&engine, ());
                let instance = Linker::new(&engine).instantiate(&mut store, &component)?;
                let function = instance.get_func(&mut store, "lie").expect("lie");
                let ty = function.ty(&store).results().next().expect("a result");
                let function = function.typed::<Params, Results>(&store)?;
                let mut params = Vec::new();
                encarno_wrpc::value::Write::unsigned(&mut params, pointer.into());
                let Results { encoded, .. } = function.call(&mut store, Params::new(params))?;
                let mut reader = Reader::new(&encoded);
                let value = val::decode(&ty, &mut reader).expect("what was lifted is whole");
                reader.finish().expect("what was lifted is whole");
                wasmtime::Result::<Val>::Ok(value)
            };
            let call_dynamic = || {
                let mut store = Store::new(&engine, ());
                let instance = Linker::new(&engine).instantiate(&mut store, &component)?;
                let function = instance.get_func(&mut store, "lie").expect("lie");
                let mut results = [Val::Bool(false)];
                function.call(&mut store, &[Val::U32(pointer)], &mut results)?;
                let [value] = results;
                wasmtime::Result::<Val>::Ok(value)
            };
            match (call_typed(), call_dynamic()) {
                (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, theirs),
                (Err(_), Err(_)) => {}
                (ours, theirs) => prop_assert!(false, "ours {:?}, theirs {:?}", ours, theirs),
            }
        }
    }
}

#[test]
fn wide_types() {
    let engine = Engine::default();
    let wide_enum = Ty::Enum(300);
    let mixed = Ty::Variant(vec![
        Some(Ty::F32),
        Some(Ty::U64),
        Some(Ty::Tuple(vec![Ty::F64, Ty::S8])),
        None,
        Some(Ty::String),
    ]);
    let seventeen = Ty::Record((0..17).map(|_| Ty::S32).collect());
    for (ty, value) in [
        (wide_enum, Val::Enum("c299".into())),
        (Ty::Flags(32), Val::Flags(vec!["b0".into(), "b31".into()])),
        (Ty::Flags(9), Val::Flags(vec!["b8".into()])),
        (
            mixed.clone(),
            Val::Variant("c0".into(), Some(Box::new(Val::Float32(-1.5)))),
        ),
        (
            mixed.clone(),
            Val::Variant("c1".into(), Some(Box::new(Val::U64(u64::MAX)))),
        ),
        (
            mixed.clone(),
            Val::Variant(
                "c2".into(),
                Some(Box::new(Val::Tuple(vec![
                    Val::Float64(f64::MIN),
                    Val::S8(-1),
                ]))),
            ),
        ),
        (
            mixed,
            Val::Variant("c4".into(), Some(Box::new(Val::String(String::new())))),
        ),
        (
            seventeen,
            Val::Record(
                (0..17)
                    .map(|index| (format!("f{index}"), Val::S32(-index)))
                    .collect(),
            ),
        ),
    ] {
        let mut echo = Echo::new(&engine, &ty, Encoding::Utf8);
        let encoded = echo.encode(&value);
        let (seen, back) = echo.call(&encoded).expect("call");
        assert_eq!(seen, value);
        assert_eq!(back, encoded);
    }
}

/// A NaN that isn't canonical stays a NaN; wasmtime may change its bits.
#[test]
fn floats_keep_their_signs_and_nans() {
    let engine = Engine::default();
    let mut echo = Echo::new(&engine, &Ty::List(Box::new(Ty::F32)), Encoding::Utf8);
    let encoded = [2, 0x01, 0x00, 0xa0, 0x7f, 0, 0, 0, 0x80];
    let (seen, back) = echo.call(&encoded).expect("call");
    let Val::List(seen) = seen else {
        panic!("{seen:?}")
    };
    assert!(matches!(seen[..], [Val::Float32(nan), Val::Float32(zero)]
        if nan.is_nan() && zero.to_bits() == 1 << 31));
    assert_eq!(back.len(), encoded.len());
}

#[test]
fn known_answers() {
    let engine = Engine::default();
    for (ty, value, expected) in [
        (Ty::U32, Val::U32(624_485), &[0xe5, 0x8e, 0x26][..]),
        (Ty::S32, Val::S32(-123_456), &[0xc0, 0xbb, 0x78]),
        (Ty::S8, Val::S8(-1), &[0xff]),
        (Ty::Char, Val::Char('€'), &[0xe2, 0x82, 0xac]),
        (Ty::String, Val::String("hé".into()), &[3, b'h', 0xc3, 0xa9]),
        (Ty::Option(Box::new(Ty::U8)), Val::Option(None), &[0]),
        (
            Ty::Result(None, Some(Box::new(Ty::Bool))),
            Val::Result(Err(Some(Box::new(Val::Bool(true))))),
            &[1, 1],
        ),
        (
            Ty::Flags(10),
            Val::Flags(vec!["b1".into(), "b9".into()]),
            &[2, 2],
        ),
        (Ty::Enum(300), Val::Enum("c200".into()), &[0xc8, 1]),
        (Ty::F32, Val::Float32(1.0), &[0, 0, 0x80, 0x3f]),
    ] {
        let mut echo = Echo::new(&engine, &ty, Encoding::Utf8);
        assert_eq!(echo.encode(&value), expected, "{ty:?}");
        assert_eq!(
            echo.call(expected).expect("call"),
            (value, expected.to_vec())
        );
    }
}

#[test]
fn length_bombs_are_truncated_values() {
    let elements = [
        Ty::Bool,
        Ty::U8,
        Ty::S8,
        Ty::U16,
        Ty::S16,
        Ty::U32,
        Ty::S32,
        Ty::U64,
        Ty::S64,
        Ty::F32,
        Ty::F64,
        Ty::Char,
        Ty::String,
        Ty::Enum(3),
        Ty::Flags(9),
        Ty::List(Box::new(Ty::U8)),
        Ty::List(Box::new(Ty::List(Box::new(Ty::String)))),
        Ty::Tuple(vec![Ty::U64, Ty::String]),
        Ty::Record(vec![Ty::List(Box::new(Ty::U64))]),
        Ty::Option(Box::new(Ty::String)),
        Ty::Result(Some(Box::new(Ty::String)), None),
        Ty::Variant(vec![None, Some(Ty::String)]),
    ];
    let engine = Engine::default();
    let lists = elements.map(|element| Ty::List(Box::new(element)));
    for ty in lists.into_iter().chain([Ty::String]) {
        let mut echo = Echo::new(&engine, &ty, Encoding::Utf8);
        // The largest length, and one that a 64-bit product would overflow on.
        for bomb in [
            &[0xff, 0xff, 0xff, 0xff, 0x0f][..],
            &[0xff, 0xff, 0xff, 0xff, 0x0f, 1, 1],
        ] {
            let checked = echo.shape.check(bomb);
            assert!(
                matches!(checked, Err(DecodeError::Truncated { missing, .. }) if missing > 4_000_000_000),
                "{ty:?}: {checked:?}"
            );
            assert!(echo.decode(bomb).is_err(), "{ty:?}");
            let error = echo.call(bomb).expect_err("a bomb");
            assert!(error.is::<DecodeError>(), "{ty:?}: {error:?}");
            echo = Echo::new(&engine, &ty, Encoding::Utf8);
        }
        let too_long = [0x80, 0x80, 0x80, 0x80, 0x10]; // 2^32
        assert!(matches!(
            echo.shape.check(&too_long),
            Err(DecodeError::Invalid { .. })
        ));
    }
}

/// Calls `f` of a component.
fn call(text: &str, params: &[u8]) -> wasmtime::Result<Vec<u8>> {
    let engine = Engine::default();
    let component = Component::new(&engine, wat::parse_str(text).expect(text)).expect(text);
    let mut store = Store::new(&engine, ());
    let instance = Linker::new(&engine).instantiate(&mut store, &component)?;
    let function = instance.get_typed_func::<Params, Results>(&mut store, "f")?;
    let params = Params::new(bytes::Bytes::copy_from_slice(params));
    Ok(function.call(&mut store, params)?.encoded)
}

/// A core result has 32 bits; what the type doesn't use is ignored.
#[test]
fn unused_bits_of_core_results() {
    for (ty, bits, expected) in [
        (Ty::Bool, 2, Some(&[1][..])),
        (Ty::U8, 0x1ff, Some(&[0xff])),
        (Ty::S8, 0x1ff, Some(&[0xff])),
        (Ty::U16, 0xffff_0001, Some(&[1])),
        (Ty::S16, 0x0000_ffff, Some(&[0x7f])),
        (Ty::U32, 1 << 31, Some(&[0x80, 0x80, 0x80, 0x80, 0x08])),
        (Ty::S32, u32::MAX, Some(&[0x7f])),
        (Ty::Flags(3), 0xff, Some(&[7])),
        (Ty::Enum(3), 2, Some(&[2])),
        (Ty::Enum(3), 3, None),
        (Ty::Char, 0xd800, None),
        (Ty::Char, 0x11_0000, None),
        (Ty::Result(None, None), 1, Some(&[1])),
        (Ty::Result(None, None), 2, None),
        (Ty::Variant(vec![None, None]), 1, Some(&[1])),
        (Ty::Tuple(vec![Ty::Record(vec![Ty::U8])]), 7, Some(&[7])),
    ] {
        let result = call(&component::constant(&ty, bits), &[]).ok();
        assert_eq!(result.as_deref(), expected, "{ty:?} {bits:#x}");
    }
}

/// A core parameter has 32 bits, all of them defined by the canonical ABI.
#[test]
fn narrow_parameters_fill_their_slots() {
    for (ty, encoded, expected) in [
        (Ty::Bool, &[1][..], 1),
        (Ty::U8, &[0xff], 0xff),
        (Ty::S8, &[0xff], -1),
        (Ty::U16, &[0xff, 0xff, 0x03], 0xffff),
        (Ty::S16, &[0x7f], -1),
        (Ty::S32, &[0x7f], -1),
        (Ty::Flags(9), &[0xff, 0x01], 0x1ff),
        (Ty::Char, b"a", 0x61),
    ] {
        let mut widened = Vec::new();
        encarno_wrpc::value::Write::signed(&mut widened, expected);
        let result = call(&component::widened(&ty), encoded).expect("call");
        assert_eq!(result, widened, "{ty:?}");
    }
}

#[test]
fn bits_that_are_no_flags_are_invalid() {
    let engine = Engine::default();
    for (count, encoded) in [(10, &[0, 4][..]), (1, &[2]), (31, &[0, 0, 0, 0x80])] {
        let echo = Echo::new(&engine, &Ty::Flags(count), Encoding::Utf8);
        let checked = echo.shape.check(encoded);
        assert!(
            matches!(checked, Err(DecodeError::Invalid { .. })),
            "{checked:?}"
        );
    }
}
