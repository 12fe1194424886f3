;; Adapter for Extism: reads a batch from Extism's memory, calls the core module of the mapper as the component model
;; does, and writes the records back. The mapper is the same module as in Sluice.
;;
;; Input: 16 bytes of migration id, 10 of date, 6 of source, u32 records, u32 bytes, ends, bytes.
;; Output: u32 records, u32 bytes, ends, bytes.
(module
  (import "mapper" "memory" (memory 0))
  (import "mapper" "cabi_realloc" (func $realloc (param i32 i32 i32 i32) (result i32)))
  (import "mapper" "sluice:plugin/mapping@0.1.0#transform"
    (func $transform (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "mapper" "cabi_post_sluice:plugin/mapping@0.1.0#transform" (func $free (param i32)))
  (import "extism:host/env" "input_load_u8" (func $input8 (param i64) (result i32)))
  (import "extism:host/env" "input_load_u64" (func $input64 (param i64) (result i64)))
  (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
  (import "extism:host/env" "store_u8" (func $store8 (param i64 i32)))
  (import "extism:host/env" "store_u64" (func $store64 (param i64 i64)))
  (import "extism:host/env" "output_set" (func $output (param i64 i64)))

  ;; Copies a part of the input into new memory, eight bytes at a time as Extism's development kits do.
  (func $take (param $at i32) (param $len i32) (param $align i32) (result i32)
    (local $to i32) (local $i i32)
    (local.set $to (call $realloc (i32.const 0) (i32.const 0) (local.get $align) (local.get $len)))
    (block $done (loop $more
      (br_if $done (i32.gt_u (i32.add (local.get $i) (i32.const 8)) (local.get $len)))
      (i64.store align=1 (i32.add (local.get $to) (local.get $i))
        (call $input64 (i64.extend_i32_u (i32.add (local.get $at) (local.get $i)))))
      (local.set $i (i32.add (local.get $i) (i32.const 8)))
      (br $more)))
    (block $done (loop $more
      (br_if $done (i32.ge_u (local.get $i) (local.get $len)))
      (i32.store8 (i32.add (local.get $to) (local.get $i))
        (call $input8 (i64.extend_i32_u (i32.add (local.get $at) (local.get $i)))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $more)))
    (local.get $to))

  ;; Copies memory into the output.
  (func $give (param $to i64) (param $from i32) (param $len i32)
    (local $i i32)
    (block $done (loop $more
      (br_if $done (i32.gt_u (i32.add (local.get $i) (i32.const 8)) (local.get $len)))
      (call $store64 (i64.add (local.get $to) (i64.extend_i32_u (local.get $i)))
        (i64.load align=1 (i32.add (local.get $from) (local.get $i))))
      (local.set $i (i32.add (local.get $i) (i32.const 8)))
      (br $more)))
    (block $done (loop $more
      (br_if $done (i32.ge_u (local.get $i) (local.get $len)))
      (call $store8 (i64.add (local.get $to) (i64.extend_i32_u (local.get $i)))
        (i32.load8_u (i32.add (local.get $from) (local.get $i))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $more))))

  (func (export "map") (result i32)
    (local $head i64) (local $count i32) (local $bytes i32) (local $made i32) (local $out i64) (local $size i64)
    (local.set $head (call $input64 (i64.const 32)))
    (local.set $count (i32.wrap_i64 (local.get $head)))
    (local.set $bytes (i32.wrap_i64 (i64.shr_u (local.get $head) (i64.const 32))))
    (local.set $made (call $transform
      (call $take (i32.const 0) (i32.const 16) (i32.const 1)) (i32.const 16)
      (call $take (i32.const 16) (i32.const 10) (i32.const 1)) (i32.const 10)
      (call $take (i32.const 26) (i32.const 6) (i32.const 1)) (i32.const 6)
      (call $take (i32.add (i32.const 40) (i32.mul (local.get $count) (i32.const 4))) (local.get $bytes) (i32.const 1))
      (local.get $bytes)
      (call $take (i32.const 40) (i32.mul (local.get $count) (i32.const 4)) (i32.const 4)) (local.get $count)))
    ;; Accepts exactly one list of records, without skipped records and issues.
    (if (i32.ne (i32.load offset=4 (local.get $made)) (i32.const 1)) (then unreachable))
    (if (i32.ne (i32.load offset=12 (local.get $made)) (i32.const 0)) (then unreachable))
    (if (i32.ne (i32.load offset=20 (local.get $made)) (i32.const 0)) (then unreachable))
    (call $answer (i32.load (local.get $made)))
    (call $free (local.get $made))
    (i32.const 0))

  ;; Writes a list of records: name, bytes, ends and origins, each an address and a length.
  (func $answer (param $list i32)
    (local $bytes i32) (local $count i32) (local $size i64) (local $out i64)
    (local.set $bytes (i32.load offset=12 (local.get $list)))
    (local.set $count (i32.load offset=20 (local.get $list)))
    (local.set $size (i64.extend_i32_u
      (i32.add (i32.const 8) (i32.add (i32.mul (local.get $count) (i32.const 4)) (local.get $bytes)))))
    (local.set $out (call $alloc (local.get $size)))
    (call $store64 (local.get $out) (i64.or (i64.extend_i32_u (local.get $count))
      (i64.shl (i64.extend_i32_u (local.get $bytes)) (i64.const 32))))
    (call $give (i64.add (local.get $out) (i64.const 8)) (i32.load offset=16 (local.get $list))
      (i32.mul (local.get $count) (i32.const 4)))
    (call $give
      (i64.add (local.get $out) (i64.extend_i32_u (i32.add (i32.const 8) (i32.mul (local.get $count) (i32.const 4)))))
      (i32.load offset=8 (local.get $list)) (local.get $bytes))
    (call $output (local.get $out) (local.get $size))))
