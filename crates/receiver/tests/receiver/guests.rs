//! Guests as text, compiled when a test wants them.

use std::ops::Deref;
use std::path::{Path, PathBuf};

/// A component in a file of its own, which is deleted when this is dropped.
pub(crate) struct Component {
    directory: PathBuf,
    file: PathBuf,
}

impl Deref for Component {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.file
    }
}

impl Drop for Component {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A file with these bytes.
pub(crate) fn file(name: &str, bytes: &[u8]) -> Component {
    let directory = encarno_test_peers::scratch("guest");
    let file = directory.join(name);
    std::fs::write(&file, bytes).unwrap();
    Component { directory, file }
}

/// A component from its text.
pub(crate) fn component(name: &str, text: &str) -> Component {
    let wasm = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"));
    file(&format!("{name}.wasm"), &wasm)
}

/// A guest that behaves, and misbehaves, as it is told.
pub(crate) fn worker() -> Component {
    component("worker", WORKER)
}

pub(crate) const WORKER: &str = r#"
(component
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer 1 $pollable (type $outer))
    (export "pollable" (type $pollable (eq $outer)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))
  (import "wasi:cli/exit@0.2.0" (instance $exit
    (export "exit" (func (param "status" (result))))))
  (core func $subscribe (canon lower (func $clock "subscribe-duration")))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  (core func $exit (canon lower (func $exit "exit")))
  (core module $Main
    (import "host" "subscribe" (func $subscribe (param i64) (result i32)))
    (import "host" "block" (func $block (param i32)))
    (import "host" "exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (table $table 0 funcref)
    (global $next (mut i32) (i32.const 1024))
    (func $realloc (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $at) (local.get 3)))
      (block $enough
        (loop $grow
          (br_if $enough (i32.le_u (global.get $next) (i32.mul (memory.size) (i32.const 65536))))
          (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then (unreachable)))
          (br $grow)))
      (local.get $at))
    (func (export "echo") (param i32 i32) (result i32)
      (i32.store (i32.const 8) (local.get 0))
      (i32.store (i32.const 12) (local.get 1))
      (i32.const 8))
    (func (export "sum") (param i64 i64) (result i64)
      (i64.add (local.get 0) (local.get 1)))
    (func $sleep (export "sleep") (param i64)
      (call $block (call $subscribe (i64.mul (local.get 0) (i64.const 1000000)))))
    (func (export "spin") (loop $for_ever (br $for_ever)))
    ;; Burns a little, sleeps a little, for ever: no single slice is long.
    (func (export "jog") (local $count i32)
      (loop $for_ever
        (local.set $count (i32.const 1000000))
        (loop $burn
          (local.set $count (i32.sub (local.get $count) (i32.const 1)))
          (br_if $burn (local.get $count)))
        (call $block (call $subscribe (i64.const 1000)))
        (br $for_ever)))
    (func (export "trap") unreachable)
    (func (export "exit") (call $exit (i32.const 1)))
    (func (export "divide") (param i32) (result i32)
      (i32.div_u (i32.const 1) (local.get 0)))
    (func $deeper (export "deeper") (call $deeper))
    ;; Sleeps at the bottom of so many calls.
    (func $deep (export "deep") (param $calls i32) (param $ms i64)
      (if (local.get $calls)
        (then (call $deep (i32.sub (local.get $calls) (i32.const 1)) (local.get $ms)))
        (else (call $sleep (local.get $ms)))))
    (func (export "grow") (loop $more
      (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
      unreachable)
    (func (export "grow-table") (loop $more
      (br_if $more (i32.ne (table.grow $table (ref.null func) (i32.const 65536)) (i32.const -1))))
      unreachable)
    (func (export "grow-modestly") (result i32)
      (drop (memory.grow (i32.const 100000)))
      (memory.size))
    ;; 4,096 lists of the same 64 KiB: a result of 256 MiB.
    (func (export "huge") (result i32) (local $at i32)
      (drop (memory.grow (i32.const 1)))
      (local.set $at (i32.const 65536))
      (loop $next
        (i32.store (local.get $at) (i32.const 0))
        (i32.store offset=4 (local.get $at) (i32.const 65536))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (br_if $next (i32.lt_u (local.get $at) (i32.const 98304))))
      (i32.store (i32.const 8) (i32.const 65536))
      (i32.store (i32.const 12) (i32.const 4096))
      (i32.const 8))
    ;; 512 lists of the same 64 KiB: a result of 32 MiB.
    (func (export "large") (result i32) (local $at i32)
      (drop (memory.grow (i32.const 1)))
      (local.set $at (i32.const 65536))
      (loop $next
        (i32.store (local.get $at) (i32.const 0))
        (i32.store offset=4 (local.get $at) (i32.const 65536))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (br_if $next (i32.lt_u (local.get $at) (i32.const 69632))))
      (i32.store (i32.const 8) (i32.const 65536))
      (i32.store (i32.const 12) (i32.const 512))
      (i32.const 8))
    ;; Handles of the host that are never given back.
    (func (export "leak")
      (loop $more (drop (call $subscribe (i64.const 1))) (br $more)))
    (func (export "lie") (result i32)
      (i32.store (i32.const 8) (i32.const 0x7fffffff))
      (i32.store (i32.const 12) (i32.const 0x7fffffff))
      (i32.const 8)))
  (core instance $main (instantiate $Main
    (with "host" (instance
      (export "subscribe" (func $subscribe))
      (export "block" (func $block))
      (export "exit" (func $exit))))))
  (func $echo (param "x" (list u8)) (result (list u8))
    (canon lift (core func $main "echo") (memory (core memory $main "memory")) (realloc (core func $main "realloc"))))
  (func $text (param "x" string) (result string)
    (canon lift (core func $main "echo") (memory (core memory $main "memory")) (realloc (core func $main "realloc"))))
  (func $sum (param "x" u64) (param "y" u64) (result u64) (canon lift (core func $main "sum")))
  (func $sleep (param "ms" u64) (canon lift (core func $main "sleep")))
  (func $spin (canon lift (core func $main "spin")))
  (func $jog (canon lift (core func $main "jog")))
  (func $trap (canon lift (core func $main "trap")))
  (func $exits (canon lift (core func $main "exit")))
  (func $divide (param "by" u32) (result u32) (canon lift (core func $main "divide")))
  (func $deeper (canon lift (core func $main "deeper")))
  (func $deep (param "calls" u32) (param "ms" u64) (canon lift (core func $main "deep")))
  (func $grow (canon lift (core func $main "grow")))
  (func $grow-table (canon lift (core func $main "grow-table")))
  (func $grow-modestly (result u32) (canon lift (core func $main "grow-modestly")))
  (func $huge (result (list (list u8)))
    (canon lift (core func $main "huge") (memory (core memory $main "memory"))))
  (func $large (result (list (list u8)))
    (canon lift (core func $main "large") (memory (core memory $main "memory"))))
  (func $leak (canon lift (core func $main "leak")))
  (func $lie (result (list u8))
    (canon lift (core func $main "lie") (memory (core memory $main "memory"))))
  (instance $work
    (export "echo" (func $echo))
    (export "text" (func $text))
    (export "sum" (func $sum))
    (export "sleep" (func $sleep))
    (export "spin" (func $spin))
    (export "jog" (func $jog))
    (export "trap" (func $trap))
    (export "exit" (func $exits))
    (export "divide" (func $divide))
    (export "deeper" (func $deeper))
    (export "deep" (func $deep))
    (export "grow" (func $grow))
    (export "grow-table" (func $grow-table))
    (export "grow-modestly" (func $grow-modestly))
    (export "huge" (func $huge))
    (export "large" (func $large))
    (export "leak" (func $leak))
    (export "lie" (func $lie)))
  (export "test:guest/work@0.1.0" (instance $work)))
"#;

/// Exports `relay`, which passes its parameter to `echo` of another component,
/// and `relay-trap`, which calls `trap` there.
pub(crate) fn relay() -> Component {
    component("relay", RELAY)
}

const RELAY: &str = r#"
(component
  (import "test:guest/work@0.1.0" (instance $work
    (export "echo" (func (param "x" (list u8)) (result (list u8))))
    (export "trap" (func))))
  (core module $Libc
    (memory (export "memory") 1)
    (global $next (mut i32) (i32.const 1024))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $at) (local.get 3)))
      (local.get $at)))
  (core instance $libc (instantiate $Libc))
  (core func $echo (canon lower (func $work "echo")
    (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (core func $trap (canon lower (func $work "trap")))
  (core module $Main
    (import "work" "echo" (func $echo (param i32 i32 i32)))
    (import "work" "trap" (func $trap))
    (func (export "relay") (param i32 i32) (result i32)
      (call $echo (local.get 0) (local.get 1) (i32.const 8))
      (i32.const 8))
    (func (export "relay-trap") (call $trap)))
  (core instance $main (instantiate $Main
    (with "work" (instance (export "echo" (func $echo)) (export "trap" (func $trap))))))
  (func $relay (param "x" (list u8)) (result (list u8))
    (canon lift (core func $main "relay") (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (func $relay-trap (canon lift (core func $main "relay-trap")))
  (instance $relays
    (export "relay" (func $relay))
    (export "relay-trap" (func $relay-trap)))
  (export "test:guest/relay@0.1.0" (instance $relays)))
"#;

/// Exports `write` and `flood`, which write a line to stderr, and lines without end.
pub(crate) fn writer() -> Component {
    component("writer", WRITER)
}

pub(crate) const WRITER: &str = r#"
(component
  (import "wasi:io/error@0.2.0" (instance $errors (export "error" (type (sub resource)))))
  (alias export $errors "error" (type $error))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (alias outer 1 $error (type $outer-error))
    (export "error" (type $e (eq $outer-error)))
    (export "output-stream" (type $stream (sub resource)))
    (type $failed' (variant (case "last-operation-failed" (own $e)) (case "closed")))
    (export "stream-error" (type $failed (eq $failed')))
    (export "[method]output-stream.blocking-write-and-flush"
      (func (param "self" (borrow $stream)) (param "contents" (list u8)) (result (result (error $failed)))))))
  (alias export $streams "output-stream" (type $stream))
  (import "wasi:cli/stderr@0.2.0" (instance $stderr
    (alias outer 1 $stream (type $outer-stream))
    (export "output-stream" (type $s (eq $outer-stream)))
    (export "get-stderr" (func (result (own $s))))))
  (core module $Libc (memory (export "memory") 1) (data (i32.const 1024) "written by a guest\n"))
  (core instance $libc (instantiate $Libc))
  (core func $get (canon lower (func $stderr "get-stderr")))
  (core func $write (canon lower (func $streams "[method]output-stream.blocking-write-and-flush")
    (memory (core memory $libc "memory"))))
  (core module $Main
    (import "host" "get" (func $get (result i32)))
    (import "host" "write" (func $write (param i32 i32 i32 i32)))
    (func (export "write")
      (call $write (call $get) (i32.const 1024) (i32.const 19) (i32.const 8)))
    (func (export "flood") (local $stream i32)
      (local.set $stream (call $get))
      (loop $more
        (call $write (local.get $stream) (i32.const 1024) (i32.const 4096) (i32.const 8))
        (br $more))))
  (core instance $main (instantiate $Main (with "host" (instance
    (export "get" (func $get)) (export "write" (func $write))))))
  (func $write-line (canon lift (core func $main "write")))
  (func $flood (canon lift (core func $main "flood")))
  (instance $work (export "write" (func $write-line)) (export "flood" (func $flood)))
  (export "test:guest/work@0.1.0" (instance $work)))
"#;

/// Exports `who: func() -> u8`, which returns that number.
pub(crate) fn numbered(number: u8) -> Component {
    let text = format!(
        r#"(component
          (core module $Main (func (export "who") (result i32) (i32.const {number})))
          (core instance $main (instantiate $Main))
          (func $who (result u8) (canon lift (core func $main "who")))
          (instance $work (export "who" (func $who)))
          (export "test:guest/work@0.1.0" (instance $work)))"#
    );
    component("numbered", &text)
}
