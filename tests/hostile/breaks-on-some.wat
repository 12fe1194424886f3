;; Traps on every fourth record.
;;= deed
(func $deed unreachable)
