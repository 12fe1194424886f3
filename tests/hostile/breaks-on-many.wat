;; Traps on two records of five.
;;= deed
(func $deed unreachable)
