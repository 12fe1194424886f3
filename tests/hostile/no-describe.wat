;; Does not export describe.
;;= describe
