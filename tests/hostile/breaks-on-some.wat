;; Traps at every fourth record.
;;= deed
(func $deed unreachable)
