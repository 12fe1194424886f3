;; Exports transform with another type.
;;= transform
(func (export "sluice:plugin/mapping@0.1.0#transform") (param i32 i32) (result i32) (i32.const 0))
