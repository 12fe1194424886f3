;; Wants 4 GiB to begin with.
;;= memory
(memory (export "memory") 65536)
