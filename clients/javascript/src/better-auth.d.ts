import type { LetsTalk, LetsTalkOptions } from "./index.js";

/** What Better Auth passes beside the data: the context of the endpoint. */
type Context = any;
type Data = { phoneNumber: string; code: string };

interface Choices {
  /** `verify`: Let's Talk makes and checks the code. `speak`: Better Auth does, and a call says it. Default: `verify`. */
  mode?: "verify" | "speak";
  /** The language of the call, such as `de`, or a function that knows it. Default: that of the phone's country. */
  locale?: string | ((context: Context) => string | undefined);
  /** With `speak`: one of the operator's names (`BRAND_NAMES`). */
  brand?: string;
  /** With `verify`: an id of the browser session that asks, for sign-in forms that anybody can reach. */
  session?: (context: Context) => string | undefined | Promise<string | undefined>;
}

export type BetterAuthOptions = Choices & (LetsTalkOptions | { client: LetsTalk });

/** Options for Better Auth's `phoneNumber` plugin: who proves a phone gets a call. */
export declare function betterAuth(options: BetterAuthOptions): {
  sendOTP: (data: Data, context?: Context) => Promise<void>;
  sendPasswordResetOTP: (data: Data, context?: Context) => Promise<void>;
  phoneNumberValidator: (phoneNumber: string) => boolean;
  verifyOTP?: (data: Data, context?: Context) => Promise<boolean>;
};
