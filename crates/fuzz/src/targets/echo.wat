;; `echo` returns the list that it is given. Its elements have every kind of type.
(component
  (type $kind_ (variant (case "none") (case "number" s16) (case "both" (tuple char f64))))
  (import "kind" (type $kind (eq $kind_)))
  (type $bits_ (flags "a" "b" "c" "d" "e" "f" "g" "h" "i"))
  (import "bits" (type $bits (eq $bits_)))
  (type $colour_ (enum "red" "green" "blue"))
  (import "colour" (type $colour (eq $colour_)))
  (type $item_ (record
    (field "name" string) (field "bytes" (list u8)) (field "count" (option u64))
    (field "kind" $kind) (field "bits" $bits) (field "colour" $colour)
    (field "outcome" (result s64 (error string))) (field "ratio" f32) (field "on" bool)
    (field "small" (list (tuple u16 s8 u32)))))
  (import "item" (type $item (eq $item_)))
  (core module $Main
    (memory (export "memory") 1)
    (global $next (mut i32) (i32.const 64))
    (func (export "realloc") (param i32 i32) (param $align i32) (param $size i32) (result i32)
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
      (local.get $at))
    (func (export "echo") (param $at i32) (param $length i32) (result i32)
      (i32.store (i32.const 16) (local.get $at))
      (i32.store (i32.const 20) (local.get $length))
      (i32.const 16)))
  (core instance $main (instantiate $Main))
  (func $echo (param "x" (list $item)) (result (list $item))
    (canon lift (core func $main "echo") (memory (core memory $main "memory"))
      (realloc (core func $main "realloc"))))
  (export "echo" (func $echo)))
